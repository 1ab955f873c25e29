package main

import (
	"context"
	"flag"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rtpsidecar/ng"
	"rtpsidecar/sdp"
)

// pictures is where the browser test leaves its pictures; empty: nowhere.
var pictures = flag.String("pictures", "", "write pictures of the status page to this folder")

// chromium finds the browser, or skips.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("NOT TESTED: no Chromium is installed")
	return ""
}

// talker is one telephone: it sends a packet every 20 ms, all but each skip-th, until the test ends.
func talker(t *testing.T, conn *net.UDPConn, to netip.AddrPort, ssrc byte, skip int) {
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := uint32(1); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if skip > 0 && int(n)%skip == 0 {
				continue
			}
			ts := n * 160
			pkt := append([]byte{0x80, 0, byte(n >> 8), byte(n), byte(ts >> 24), byte(ts >> 16), byte(ts >> 8), byte(ts), 0, 0, 0, ssrc}, make([]byte, 160)...)
			_, _ = conn.WriteToUDPAddrPort(pkt, to)
		}
	}()
	t.Cleanup(func() { cancel(); <-done; _ = conn.Close() })
}

// showCall makes a call whose parties talk as told; a party that does not is seen as silent.
func showCall(t *testing.T, client *ng.Client, id, from, to string, flags string, talks [2]bool, skip int) {
	t.Helper()
	var conns [2]*net.UDPConn
	var bodies [2]string
	for i := range conns {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = c
		_, port, _ := net.SplitHostPort(c.LocalAddr().String())
		bodies[i] = phoneBody("127.0.0.1", port)
	}
	var shown [2]netip.AddrPort
	for i, command := range []string{"offer", "answer"} {
		q := new(ng.Dict)
		q.AddString("command", command)
		q.AddString("call-id", id)
		q.AddString("from-tag", from)
		if command == "answer" {
			q.AddString("to-tag", to)
		}
		q.AddString("sdp", bodies[i])
		q.AddScriptFlags(flags)
		d, err := client.Do(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		s, err := sdp.Parse(d.Value("sdp").Str())
		if err != nil {
			t.Fatal(err)
		}
		shown[1-i] = s.Media[0].RTPAddr()
	}
	for i, c := range conns {
		if talks[i] {
			talker(t, c, shown[i], byte(i+1), skip)
		} else {
			t.Cleanup(func() { _ = c.Close() })
		}
	}
}

func TestStatusPage(t *testing.T) {
	browser := chromium(t)
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--listen-http=127.0.0.1:0", "--web-token=s3cret")
	client, err := ng.Dial(t.Context(), "udp:"+d.NG[0], ng.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	showCall(t, client, "7f3a1c90@pbx.example.org", "alice", "bob", "", [2]bool{true, true}, 0)
	showCall(t, client, "b81d22e4@gw.example.net", "carol", "desk-12", "", [2]bool{true, false}, 40)
	showCall(t, client, "0c9e5512@webrtc.example.org", "browser", "gateway", "RTP/SAVP DTLS=off", [2]bool{true, false}, 0)

	alloc, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU)...)
	defer cancel()
	tab, cancel := chromedp.NewContext(alloc)
	defer cancel()
	do := func(what string, a chromedp.Action[chromedp.Void]) {
		t.Helper()
		if _, err := chromedp.Run(tab, a); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	script := func(what, js string) {
		t.Helper()
		if _, err := chromedp.Run(tab, chromedp.Evaluate[bool](js+"; true", chromedp.EvalAwaitPromise)); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	read := func(selector string) string {
		t.Helper()
		out, err := chromedp.Run(tab, chromedp.Evaluate[string](`document.querySelector(`+quoted(selector)+`)?.innerText ?? ""`))
		if err != nil {
			t.Fatalf("%s: %v", selector, err)
		}
		return out
	}
	await := func(selector, want string) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if strings.Contains(read(selector), want) {
				return
			}
		}
		t.Errorf("%s reads %q, want %q", selector, read(selector), want)
	}
	base := "http://" + d.HTTP[0]
	do("open", chromedp.Navigate(base+"/"))
	do("size", chromedp.EmulateViewport(1440, 1080))
	await("#rows", "7f3a1c90@pbx.example.org")
	await("#tiles", "Calls now\n3")
	await("#detail", "Pick a call")

	// The fault is told in words, leg by leg.
	script("a silent call", `location.hash = "#/call/" + encodeURIComponent("b81d22e4@gw.example.net")`)
	await("#verdict", "carol does not hear desk-12")
	await("#detail", "No packet ever arrived on port")
	await(".timeline", "first packet from 127.0.0.1:")
	picture(t, tab, "status-fault.png")

	// Search, and a healthy call.
	script("search", `{ const s = document.getElementById("search"); s.value = "7f3a"; s.dispatchEvent(new Event("input")) }`)
	await("#rows", "7f3a1c90")
	script("the match", `document.querySelector('.row[data-id^="7f3a"]').click()`)
	await("#verdict", "All is well")
	if got := read("#rows"); strings.Contains(got, "b81d22e4") {
		t.Errorf("the search shows %q", got)
	}

	// The flag lab.
	script("lab", `location.hash = "#/lab"; document.querySelector("#samples button").click(); document.querySelector("#form button[type=submit]").click()`)
	await(`[data-step="offer"]`, "RTP/AVP")
	await("#result", "ICE=remove")
	picture(t, tab, "status-lab.png")

	// Without the token nothing can be ended, with it the call is.
	if got := read("#drain:not([hidden])"); got != "" {
		t.Errorf("the drain button is shown without a token: %q", got)
	}
	script("sign in", `sessionStorage.setItem("token", "s3cret"); location.hash = "#/call/0c9e5512%40webrtc.example.org"`)
	do("reload", chromedp.Reload())
	await("#detail", "End call")
	script("end it", `window.confirm = () => true; document.querySelector("button.danger").click()`)
	await("#detail", "force terminated")
	await("#rows", "ENDED LATELY")
}

// quoted is a JavaScript string.
func quoted(s string) string { return "`" + strings.ReplaceAll(s, "`", "\\`") + "`" }

// picture takes one of what is seen, where pictures are wanted.
func picture(t *testing.T, tab context.Context, name string) {
	t.Helper()
	if *pictures == "" {
		return
	}
	time.Sleep(11 * time.Second) // two intervals of the sparkline
	b, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*pictures+"/"+name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
