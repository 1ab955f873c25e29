package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"rtpsidecar/cmd/sidecar-lab/flaglint"
	"rtpsidecar/cmd/sidecar-lab/sdpdiff"
	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/rtpengine"
)

// labRequest is the form of the flag lab: what a proxy would send. With an answer both steps are shown.
type labRequest struct {
	SDP         string `json:"sdp"`
	Flags       string `json:"flags"` // as in a proxy's script
	Answer      string `json:"answer"`
	AnswerFlags string `json:"answer_flags"`
}

// labReply is what came of it.
type labReply struct {
	Steps []labStep `json:"steps"`
}

type labStep struct {
	Command string           `json:"command"`
	SDP     string           `json:"sdp,omitempty"`
	Error   string           `json:"error,omitempty"`
	Warning string           `json:"warning,omitempty"`
	Lines   []sdpdiff.Line   `json:"lines,omitempty"`
	Changes []sdpdiff.Change `json:"changes,omitempty"`
	Lint    []string         `json:"lint,omitempty"`
}

// labLimit bounds a form.
const labLimit = 256 << 10

// labTurn lets one form be worked on at a time: each takes an engine of its own.
var labTurn sync.Mutex

// lab tries flags on an engine with the daemon's settings but without sockets: no call and no port of the daemon is
// touched, so that it needs no token.
func (w *web) lab(rw http.ResponseWriter, r *http.Request) {
	var req labRequest
	if err := json.NewDecoder(http.MaxBytesReader(rw, r.Body, labLimit)).Decode(&req); err != nil {
		http.Error(rw, "form: "+err.Error(), http.StatusBadRequest)
		return
	}
	labTurn.Lock()
	defer labTurn.Unlock()
	cfg := w.d.engine
	cfg.Adjustable = w.d.calls.Adjusted()
	cfg.MaxSessions = -1
	cfg.IO, cfg.Workers, cfg.Log, cfg.Store, cfg.Console = relay.NullIO, 1, slog.New(slog.DiscardHandler), nil, nil
	cfg.Table = nil
	engine, err := rtpengine.New(cfg)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = engine.Close() }() // it has no sockets that could fail
	var out labReply
	offer := labTry(r, engine, "offer", req.SDP, req.Flags)
	out.Steps = append(out.Steps, offer)
	if strings.TrimSpace(req.Answer) != "" && offer.Error == "" {
		out.Steps = append(out.Steps, labTry(r, engine, "answer", req.Answer, req.AnswerFlags))
	}
	reply(rw, out)
}

// labTry sends one message.
func labTry(r *http.Request, engine *rtpengine.Engine, command, sdp, flags string) labStep {
	sdp = strings.TrimSpace(strings.ReplaceAll(sdp, "\r", "")) + "\n"
	body := strings.ReplaceAll(sdp, "\n", "\r\n")
	step := labStep{Command: command}
	d := new(ng.Dict)
	d.AddString("command", command)
	d.AddString("call-id", "flag-lab")
	d.AddString("from-tag", "caller")
	if command == "answer" {
		d.AddString("to-tag", "callee")
	}
	d.AddString("sdp", body)
	d.AddScriptFlags(flags)
	for _, f := range flaglint.Flags(flags, flaglint.Options{Commands: []string{command}}) {
		step.Lint = append(step.Lint, f.String())
	}
	got := engine.HandleNG(r.Context(), &ng.Request{Command: command, Dict: d, Received: time.Now()})
	if got.Error != "" {
		step.Error = got.Error
		return step
	}
	step.SDP = got.Dict.Value("sdp").Str()
	step.Warning = got.Dict.Value("warning").Str()
	step.Lines = sdpdiff.Diff(body, step.SDP)
	step.Changes = sdpdiff.Explain(command, flags, body, step.SDP)
	return step
}
