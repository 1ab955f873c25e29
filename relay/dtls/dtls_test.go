package dtls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"rtpsidecar/relay/rtp"
	"rtpsidecar/relay/srtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testCertificates are made once: keys are slow.
var testCertificates = func() (out [2]*Certificate) {
	for i := range out {
		var err error
		// Fixed in the past, so that they hold in a synctest bubble, which begins in 2000, as well.
		if out[i], err = NewCertificate(CertificateConfig{Now: func() time.Time { return time.Unix(946684800, 0) }}); err != nil {
			panic(err)
		}
	}
	return out
}()

func fingerprints(c *Certificate, hash string) []Fingerprint {
	return []Fingerprint{{Hash: hash, Digest: c.Fingerprint(hash)}}
}

// end is one Keyer of a test with what came out of it.
type end struct {
	*Keyer
	role   Role
	cert   *Certificate
	result chan Result
	closed chan error
}

func newEnd(t testing.TB, role Role, cert *Certificate, send func([]byte), change func(*Config)) *end {
	t.Helper()
	e := &end{role: role, cert: cert, result: make(chan Result, 1), closed: make(chan error, 1)}
	cfg := Config{
		Certificate: cert, Send: send,
		OnResult: func(r Result) { e.result <- r },
		OnClose:  func(err error) { e.closed <- err },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if e.Keyer, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return e
}

// link joins two ends; the functions see each datagram with its number in that direction and pass it on or not. They are
// called one at a time.
func link(t testing.TB, clientSide, serverSide func(n int, b []byte, deliver func([]byte)), change func(Role, *Config)) (client, server *end) {
	pass := func(_ int, b []byte, deliver func([]byte)) { deliver(b) }
	if clientSide == nil {
		clientSide = pass
	}
	if serverSide == nil {
		serverSide = pass
	}
	configure := func(r Role) func(*Config) {
		return func(c *Config) {
			if change != nil {
				change(r, c)
			}
		}
	}
	var mu sync.Mutex
	nc, ns := 0, 0
	client = newEnd(t, Client, testCertificates[0], func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		nc++
		clientSide(nc, b, func(b []byte) { server.Deliver(b) })
	}, configure(Client))
	server = newEnd(t, Server, testCertificates[1], func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		ns++
		serverSide(ns, b, func(b []byte) { client.Deliver(b) })
	}, configure(Server))
	return client, server
}

func start(t testing.TB, e, far *end) {
	t.Helper()
	if err := e.Start(context.Background(), e.role, fingerprints(far.cert, "sha-256")); err != nil {
		t.Fatal(err)
	}
}

func checkKeys(t testing.TB, c, s Result) {
	t.Helper()
	if c.Err != nil || s.Err != nil {
		t.Fatalf("client: %v; server: %v", c.Err, s.Err)
	}
	if !c.Local.Equal(s.Remote) || !c.Remote.Equal(s.Local) || c.Local.Equal(c.Remote) || c.Local.Validate() != nil {
		t.Fatal("the ends have different keys")
	}
	if c.Suite != s.Suite || c.Suite != c.Local.Suite {
		t.Fatalf("suites %v and %v", c.Suite, s.Suite)
	}
}

func TestHandshake(t *testing.T) {
	all := DefaultSuites()
	tests := []struct {
		name   string
		change func(Role, *Config)
		hash   string
		suite  string
	}{
		{"default", nil, "sha-256", "AES_CM_128_HMAC_SHA1_80"},
		{"strict order", func(_ Role, c *Config) { c.StrictOrder = true }, "sha-256", "AEAD_AES_256_GCM"},
		{"cookie", func(_ Role, c *Config) { c.VerifyHello = true }, "sha-1", "AES_CM_128_HMAC_SHA1_80"},
		{"small MTU", func(_ Role, c *Config) { c.MTU = 200 }, "sha-512", "AES_CM_128_HMAC_SHA1_80"},
		{"client offers one", func(r Role, c *Config) {
			if r == Client {
				c.Suites = all[1:2]
			}
		}, "SHA-384", "AEAD_AES_128_GCM"},
		{"server has one", func(r Role, c *Config) {
			if r == Server {
				c.Suites = []*srtp.Suite{srtp.SuiteByName("AES_CM_128_HMAC_SHA1_32")}
			}
		}, "sha-224", "AES_CM_128_HMAC_SHA1_32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				largest := 0
				client, server := link(t, nil, func(_ int, b []byte, deliver func([]byte)) {
					largest = max(largest, len(b))
					deliver(b)
				}, tt.change)
				if server.State() != StateNew {
					t.Errorf("state %v before Start", server.State())
				}
				for _, p := range [][2]*end{{client, server}, {server, client}} {
					// Only the last fingerprint is right, and one is of a function nobody knows.
					f := append([]Fingerprint{{Hash: "md5", Digest: make([]byte, 16)}, {Hash: tt.hash, Digest: make([]byte, 32)}},
						fingerprints(p[1].cert, tt.hash)...)
					if err := p[0].Start(context.Background(), p[0].role, f); err != nil {
						t.Fatal(err)
					}
				}
				c, s := <-client.result, <-server.result
				checkKeys(t, c, s)
				if c.Suite.Name != tt.suite {
					t.Errorf("suite %s, want %s", c.Suite, tt.suite)
				}
				if c.RemoteFingerprintHash != strings.ToLower(tt.hash) || s.RemoteFingerprintHash != strings.ToLower(tt.hash) {
					t.Errorf("matched by %q and %q, want %q", c.RemoteFingerprintHash, s.RemoteFingerprintHash, tt.hash)
				}
				if tt.name == "small MTU" && largest > 300 {
					t.Errorf("a datagram of %d bytes", largest)
				}
				if client.State() != StateConnected || server.State() != StateConnected {
					t.Errorf("states %v and %v", client.State(), server.State())
				}
				mediaBothWays(t, c, s)

				client.Close()
				if err := <-client.closed; !errors.Is(err, ErrClosed) {
					t.Errorf("client closed: %v", err)
				}
				if err := <-server.closed; !errors.Is(err, ErrPeerClosed) {
					t.Errorf("server closed: %v", err)
				}
				server.Close()
				if client.State() != StateClosed || server.State() != StateClosed {
					t.Errorf("states %v and %v", client.State(), server.State())
				}
			})
		})
	}
}

func mediaBothWays(t testing.TB, c, s Result) {
	t.Helper()
	for _, d := range [][2]srtp.Params{{c.Local, s.Remote}, {s.Local, c.Remote}} {
		out, err := srtp.New(d[0])
		if err != nil {
			t.Fatal(err)
		}
		in, err := srtp.New(d[1])
		if err != nil {
			t.Fatal(err)
		}
		pkt := append(rtp.AppendHeader(make([]byte, 0, 200), rtp.Header{Seq: 1, SSRC: 2}), "hello"...)
		plain := bytes.Clone(pkt)
		if pkt, err = out.ProtectRTP(pkt); err != nil {
			t.Fatal(err)
		}
		if pkt, err = in.UnprotectRTP(pkt); err != nil || !bytes.Equal(pkt, plain) {
			t.Fatalf("%x, %v", pkt, err)
		}
	}
}

// A server is created with the offer and told its role by the answer, which may come after the ClientHello.
func TestEarlyClientHello(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := link(t, nil, nil, nil)
		start(t, client, server)
		time.Sleep(5 * time.Second)
		if server.State() != StateNew {
			t.Errorf("state %v", server.State())
		}
		start(t, server, client)
		checkKeys(t, <-client.result, <-server.result)
		client.Close()
		server.Close()
	})
}

func TestClientSendsNothingBeforeStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client, server := link(t, func(_ int, b []byte, deliver func([]byte)) { sent++; deliver(b) }, nil, nil)
		start(t, server, client)
		time.Sleep(time.Minute) // a server waits as long as it must for its client
		if sent != 0 || server.State() != StateWaiting {
			t.Errorf("%d datagrams before Start, server %v", sent, server.State())
		}
		start(t, client, server)
		checkKeys(t, <-client.result, <-server.result)
		server.Close()
		client.Close()
	})
}

func TestFingerprintMismatch(t *testing.T) {
	for _, wrong := range []Role{Client, Server} {
		t.Run(wrong.String()+" refuses", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := link(t, nil, nil, nil)
				for _, p := range [][2]*end{{client, server}, {server, client}} {
					cert := p[1].cert
					if p[0].role == wrong {
						cert = p[0].cert // its own, which the far end has not
					}
					if err := p[0].Start(context.Background(), p[0].role, fingerprints(cert, "sha-256")); err != nil {
						t.Fatal(err)
					}
				}
				c, s := <-client.result, <-server.result
				refuser, refused := c, s
				if wrong == Server {
					refuser, refused = s, c
				}
				if !errors.Is(refuser.Err, ErrFingerprint) {
					t.Errorf("refuser: %v", refuser.Err)
				}
				if refused.Err == nil || !strings.Contains(refused.Err.Error(), "BadCertificate") {
					t.Errorf("refused: %v", refused.Err)
				}
				if refuser.Local.Suite != nil || refused.Local.Suite != nil || refuser.Local.Key != nil {
					t.Error("keys came out of a refused handshake")
				}
				if client.State() != StateFailed || server.State() != StateFailed {
					t.Errorf("states %v and %v", client.State(), server.State())
				}
				client.Close()
				server.Close()
			})
		})
	}
}

func TestNoCommonProfile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := DefaultSuites()
		client, server := link(t, nil, nil, func(r Role, c *Config) {
			c.Suites = all[:1]
			if r == Server {
				c.Suites = all[1:2]
			}
		})
		start(t, client, server)
		start(t, server, client)
		if c, s := <-client.result, <-server.result; c.Err == nil || s.Err == nil {
			t.Errorf("client %v, server %v", c.Err, s.Err)
		}
		client.Close()
		server.Close()
	})
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		client, server := link(t, func(int, []byte, func([]byte)) { sent++ }, nil, nil)
		began := time.Now()
		start(t, client, server)
		r := <-client.result
		if !errors.Is(r.Err, context.DeadlineExceeded) || time.Since(began) != defaultTimeout {
			t.Errorf("%v after %v", r.Err, time.Since(began))
		}
		if want := int(defaultTimeout / defaultFlightInterval); sent < want-1 || sent > want+1 {
			t.Errorf("%d ClientHellos, want %d", sent, want)
		}
		client.Close()
		server.Close()
	})
}

func TestCloseAtAnyTime(t *testing.T) {
	// After each datagram in turn, one end is closed, abandoned or its context ended.
	for n := 0; n <= 8; n++ {
		for _, how := range []string{"close", "abandon", "context"} {
			t.Run(fmt.Sprintf("%s after %d", how, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					left := n
					stopped := make(chan struct{})
					hold := func(_ int, b []byte, deliver func([]byte)) {
						if left == 0 {
							return
						}
						if left--; left == 0 {
							close(stopped)
						}
						deliver(b)
					}
					if n == 0 {
						close(stopped)
					}
					client, server := link(t, hold, hold, nil)
					ctx, cancel := context.WithCancel(context.Background())
					defer cancel()
					if err := client.Start(ctx, Client, fingerprints(server.cert, "sha-256")); err != nil {
						t.Fatal(err)
					}
					start(t, server, client)
					select {
					case <-stopped:
					case <-time.After(10 * time.Second):
					}
					switch how {
					case "close":
						client.Close()
					case "abandon":
						client.Abandon()
					case "context":
						cancel()
						synctest.Wait()
					}
					if r := <-client.result; r.Err != nil && !errors.Is(r.Err, ErrClosed) {
						t.Errorf("result %v", r.Err)
					}
					client.Close()
					server.Close()
					<-server.result
					if client.Deliver(clientHelloLike()) {
						t.Error("a closed Keyer takes datagrams")
					}
				})
			})
		}
	}
}

func TestAbandonIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := link(t, nil, nil, nil)
		start(t, client, server)
		start(t, server, client)
		checkKeys(t, <-client.result, <-server.result)
		client.Abandon()
		synctest.Wait()
		if server.State() != StateConnected {
			t.Errorf("server %v after the client was abandoned", server.State())
		}
		server.Close()
	})
}

// An association that is at rest still hears the far end's close_notify, and still sends its own.
func TestRest(t *testing.T) {
	for _, closer := range []Role{Client, Server} {
		for _, rests := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s closes after %d", closer, rests), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sent := 0
					count := func(_ int, b []byte, deliver func([]byte)) { sent++; deliver(b) }
					client, server := link(t, count, count, nil)
					start(t, client, server)
					start(t, server, client)
					checkKeys(t, <-client.result, <-server.result)
					awake := 0
					for range rests {
						synctest.Wait()
						awake = sent
						time.Sleep(restAfter + time.Second)
						synctest.Wait()
						// Something that wakes it up, and is no record of this association.
						client.Deliver([]byte{21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 3, 1, 2, 3})
						server.Deliver(clientHelloLike())
						time.Sleep(time.Second)
					}
					time.Sleep(restAfter + time.Second)
					synctest.Wait()
					if sent != awake || client.State() != StateConnected || server.State() != StateConnected {
						t.Errorf("%d datagrams at rest, client %v, server %v", sent-awake, client.State(), server.State())
					}
					first, second := client, server
					if closer == Server {
						first, second = server, client
					}
					first.Close()
					if err := <-first.closed; !errors.Is(err, ErrClosed) {
						t.Errorf("closer: %v", err)
					}
					if err := <-second.closed; !errors.Is(err, ErrPeerClosed) {
						t.Errorf("other: %v", err)
					}
					second.Close()
				})
			})
		}
	}
}

func TestMisuse(t *testing.T) {
	e := newEnd(t, Client, testCertificates[0], func([]byte) {}, nil)
	good := fingerprints(testCertificates[1], "sha-256")
	for _, f := range [][]Fingerprint{nil, {{Hash: "md5", Digest: make([]byte, 16)}}} {
		if err := e.Start(context.Background(), Client, f); !errors.Is(err, ErrFingerprint) {
			t.Errorf("Start(%v): %v", f, err)
		}
	}
	if err := e.Start(context.Background(), Client, good); err != nil {
		t.Error(err)
	}
	if err := e.Start(context.Background(), Client, good); !errors.Is(err, ErrStarted) {
		t.Errorf("second Start: %v", err)
	}
	e.Close()
	if err := e.Start(context.Background(), Client, good); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	e.Close()

	never := newEnd(t, Client, testCertificates[0], func([]byte) {}, nil)
	never.Close()
	if never.State() != StateClosed {
		t.Errorf("state %v", never.State())
	}

	ok := Config{Certificate: testCertificates[0], Send: func([]byte) {}, OnResult: func(Result) {}}
	for name, change := range map[string]func(*Config){
		"no certificate": func(c *Config) { c.Certificate = nil },
		"no send":        func(c *Config) { c.Send = nil },
		"no result":      func(c *Config) { c.OnResult = nil },
		"no suite":       func(c *Config) { c.Suites = []*srtp.Suite{} },
		"SDES suite":     func(c *Config) { c.Suites = []*srtp.Suite{srtp.SuiteByName("F8_128_HMAC_SHA1_80")} },
	} {
		cfg := ok
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A prepared client sends nothing before it is released, however long that takes, and then at once.
func TestPrepare(t *testing.T) {
	prepared := func(t *testing.T, change func(Role, *Config)) (client, server *end, sent *atomic.Int32) {
		sent = new(atomic.Int32)
		count := func(_ int, b []byte, deliver func([]byte)) { sent.Add(1); deliver(b) }
		client, server = link(t, count, nil, change)
		if err := client.Prepare(context.Background(), fingerprints(server.cert, "sha-256")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * defaultTimeout)
		if sent.Load() > 0 || client.State() != StateNew {
			t.Errorf("%d datagrams before the release, state %v", sent.Load(), client.State())
		}
		return client, server, sent
	}
	t.Run("released", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server, sent := prepared(t, nil)
			if client.Deliver(clientHelloLike()) {
				t.Error("something was taken for an answer before there was a question")
			}
			start(t, server, client)
			client.Release()
			if sent.Load() != 1 || client.State() != StateHandshake {
				t.Errorf("%d datagrams when Release returned, state %v", sent.Load(), client.State())
			}
			client.Release()
			checkKeys(t, <-client.result, <-server.result)
			client.Close()
			server.Close()
		})
	})
	t.Run("released and unanswered", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, _, sent := prepared(t, nil)
			begun := time.Now()
			client.Release()
			r := <-client.result
			if took := time.Since(begun); took != defaultTimeout || !errors.Is(r.Err, context.DeadlineExceeded) {
				t.Errorf("%v after %v", r.Err, took)
			}
			if want := int32(defaultTimeout / defaultFlightInterval); sent.Load() < want-1 || sent.Load() > want+1 {
				t.Errorf("%d datagrams, want %d", sent.Load(), want)
			}
		})
	})
	for name, end := range map[string]func(*Keyer){
		"closed":    func(k *Keyer) { k.Close() },
		"abandoned": (*Keyer).Abandon,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, _, sent := prepared(t, nil)
				end(client.Keyer)
				client.Release()
				if r := <-client.result; !errors.Is(r.Err, ErrClosed) || sent.Load() > 0 {
					t.Errorf("%v, %d datagrams", r.Err, sent.Load())
				}
			})
		})
	}
	t.Run("released before it is ready", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := link(t, nil, nil, nil)
			start(t, server, client)
			if err := client.Prepare(context.Background(), fingerprints(server.cert, "sha-256")); err != nil {
				t.Fatal(err)
			}
			client.Release()
			checkKeys(t, <-client.result, <-server.result)
			client.Close()
			server.Close()
		})
	})
	t.Run("without fingerprint", func(t *testing.T) {
		client, _ := link(t, nil, nil, nil)
		if err := client.Prepare(context.Background(), nil); !errors.Is(err, ErrFingerprint) {
			t.Errorf("%v", err)
		}
	})
}
