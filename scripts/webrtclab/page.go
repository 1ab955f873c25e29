package webrtclab

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"
)

//go:embed page
var pageFiles embed.FS

// Evaluator runs JavaScript in a page and returns the JSON of its (awaited) result.
type Evaluator interface {
	Evaluate(ctx context.Context, js string) (json.RawMessage, error)
	Close()
}

// Page is the lab's page in a browser. One page can hold several peers, each named by an id.
type Page struct {
	eval Evaluator
	web  *http.Server
}

// Stats is what a peer connection says of itself.
type Stats struct {
	State, ICE              string
	AudioPackets, AudioLost int
	AudioEnergy             float64
	FramesDecoded           int
	VideoPackets            int
	SentPackets             int
	PairLocal, PairRemote   string
	DTLS, Suite             string
	Codecs                  []string
	RemoteReports           int
}

// PeerConfig says what a peer connection sends and how.
type PeerConfig struct {
	Video  bool           `json:"video"`
	Deaf   bool           `json:"deaf"`             // plays nothing of what it receives
	Config map[string]any `json:"config,omitempty"` // RTCConfiguration
}

// Candidate is one trickled candidate, as RTCIceCandidate.toJSON gives it.
type Candidate struct {
	Candidate        string
	SDPMid           string
	SDPMLineIndex    int
	UsernameFragment string
}

// PageFiles are the lab's own page: index.html and lab.js.
func PageFiles() fs.FS {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // the directory is embedded
	}
	return files
}

// open serves the page and hands its address to start, which loads it in a browser.
func open(ctx context.Context, files fs.FS, start func(ctx context.Context, url string) (Evaluator, error)) (*Page, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Page{web: &http.Server{Handler: http.FileServerFS(files), ReadHeaderTimeout: 10 * time.Second}}
	go p.web.Serve(l) // ends with web.Close in Close
	if p.eval, err = start(ctx, "http://"+l.Addr().String()+"/index.html"); err != nil {
		p.web.Close()
		return nil, err
	}
	return p, nil
}

// Close ends the browser and the page's web server.
func (p *Page) Close() {
	p.eval.Close()
	p.web.Close()
}

// call runs lab.method(args...) in the page and decodes its result into out, unless that is nil.
func (p *Page) call(ctx context.Context, out any, method string, args ...any) error {
	return p.Call(ctx, out, "lab."+method, args...)
}

// Call runs a function of the page, "lab.stats" for example, and decodes its (awaited) result into out, unless that is nil.
func (p *Page) Call(ctx context.Context, out any, function string, args ...any) error {
	parts := make([]string, len(args))
	for i, a := range args {
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		parts[i] = string(b)
	}
	js := fmt.Sprintf("Promise.resolve(%s(%s)).then(v => JSON.stringify(v ?? null))", function, strings.Join(parts, ","))
	raw, err := p.eval.Evaluate(ctx, js)
	if err != nil {
		return fmt.Errorf("page: %s: %w", function, err)
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("page: %s: %w in %q", function, err, raw)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal([]byte(text), out)
}

// The verbs of the page; see page/lab.js.

func (p *Page) Open(ctx context.Context, id string, cfg PeerConfig) error {
	return p.call(ctx, nil, "open", id, cfg)
}

func (p *Page) Offer(ctx context.Context, id string, trickle, restart bool) (sdp string, err error) {
	err = p.call(ctx, &sdp, "offer", id, map[string]bool{"trickle": trickle, "restart": restart})
	return sdp, err
}

func (p *Page) Answer(ctx context.Context, id, offer string, trickle bool) (sdp string, err error) {
	err = p.call(ctx, &sdp, "answer", id, offer, map[string]bool{"trickle": trickle})
	return sdp, err
}

func (p *Page) Accept(ctx context.Context, id, answer string) error {
	return p.call(ctx, nil, "accept", id, answer)
}

func (p *Page) Candidates(ctx context.Context, id string) (cands []*Candidate, err error) {
	err = p.call(ctx, &cands, "candidates", id)
	return cands, err
}

func (p *Page) Stats(ctx context.Context, id string) (s Stats, err error) {
	err = p.call(ctx, &s, "stats", id)
	return s, err
}

// Setup waits for the first decrypted audio packet and returns how long after setRemoteDescription of the answer it came.
func (p *Page) Setup(ctx context.Context, id string) (time.Duration, error) {
	var ms float64
	err := p.call(ctx, &ms, "setup", id)
	return time.Duration(ms * float64(time.Millisecond)), err
}

// Hears tells how much of what the page hears is a tone of this frequency, 0 to 1.
func (p *Page) Hears(ctx context.Context, id string, hz float64) (share float64, err error) {
	err = p.call(ctx, &share, "heard", id, hz)
	return share, err
}

func (p *Page) Hangup(ctx context.Context, id string) error { return p.call(ctx, nil, "close", id) }
