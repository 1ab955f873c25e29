package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"rtpsidecar/ng"
)

// get is a GET as "status body".
func get(t *testing.T, url string) string {
	t.Helper()
	return fetch(t, http.MethodGet, url, "", "")
}

func fetch(t *testing.T, method, url, body, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(resp.StatusCode) + " " + string(b)
}

func TestWeb(t *testing.T) {
	d := startServe(t, nil, "--listen-ng=127.0.0.1:0", "--listen-http=127.0.0.1:0", "--pprof", "--web-token=s3cret")
	base := "http://" + d.HTTP[0]
	client, err := ng.Dial(t.Context(), "udp:"+d.NG[0], ng.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, command := range []string{"offer", "answer"} {
		q := new(ng.Dict)
		q.AddString("command", command)
		q.AddString("call-id", "web/1&x")
		q.AddString("from-tag", "A")
		if command == "answer" {
			q.AddString("to-tag", "B")
		}
		q.AddString("sdp", phoneBody("127.0.0.1", "4000"))
		if _, err := client.Do(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	form := `{"sdp":` + strconv.Quote(phoneBody("192.0.2.7", "4000")) + `,"flags":"RTP/SAVP ICE=force nosuchflag",` +
		`"answer":` + strconv.Quote(phoneBody("192.0.2.8", "4002")) + `}`
	tests := []struct{ method, path, body, token, want, with string }{
		{"GET", "/ping", "", "", "200 pong\n", ""},
		{"GET", "/healthz", "", "", "200 ok\n", ""},
		{"GET", "/readyz", "", "", "200 ready\n", ""},
		{"GET", "/metrics", "", "", "200 ", "rtpengine_sessions{type=\"own\"} 1\n"},
		{"GET", "/metrics", "", "", "200 ", "# TYPE go_goroutines gauge"},
		{"GET", "/cli/list+numsessions", "", "", "200 Current sessions own: 1\n", ""},
		{"GET", "/cli/list/numsessions", "", "", "200 Unknown command: list/numsessions\n", ""},
		{"GET", "/api/calls", "", "", "200 ", `"call_id":"web/1\u0026x"`},
		{"GET", "/api/calls?q=nothing", "", "", "200 ", `"now":[]`},
		{"GET", "/api/call?id=web/1%26x", "", "", "200 ", `"timeline":[{`},
		{"GET", "/api/call?id=nobody", "", "", "404 ", ""},
		{"GET", "/api/why?id=web/1%26x", "", "", "200 Call web/1&x\n", "A -> B, audio: "},
		{"GET", "/api/why?id=nobody", "", "", "404 ", ""},
		{"GET", "/api/daemon", "", "", "200 ", `"writable":true`},
		{"GET", "/debug/pprof/", "", "", "200 ", "goroutine"},
		{"GET", "/status/", "", "", "200 <!doctype html>", ""},
		{"GET", "/nowhere", "", "", "404 not found\n", ""},
		{"POST", "/api/lab", form, "", "200 ", "m=audio"},
		{"POST", "/api/lab", form, "", "200 ", "nosuchflag"},
		{"POST", "/api/lab", `{"sdp":"nonsense"}`, "", "200 ", `"error":"`},
		{"POST", "/api/lab", `nonsense`, "", "400 ", ""},
		{"POST", "/api/terminate?id=web/1%26x", "", "", "403 ", ""},
		{"POST", "/api/terminate?id=web/1%26x", "", "wrong", "403 ", ""},
		{"POST", "/api/terminate?id=nobody", "", "s3cret", "404 ", ""},
		{"POST", "/api/terminate?id=web/1%26x", "", "s3cret", "200 ", "true"},
		{"GET", "/api/calls", "", "", "200 ", `"ended":"force_terminated"`},
		{"POST", "/api/drain?on=off", "", "s3cret", "200 ", "false"},
	}
	for _, tt := range tests {
		got := fetch(t, tt.method, base+tt.path, tt.body, tt.token)
		if !strings.HasPrefix(got, tt.want) || !strings.Contains(got, tt.with) {
			t.Errorf("%s %s = %.2000s\nwant %q, %q in it", tt.method, tt.path, got, tt.want, tt.with)
		}
	}
}

func TestWebIsOurs(t *testing.T) {
	d := startServe(t, nil, "--listen-http=127.0.0.1:0")
	transport := &http.Transport{DisableKeepAlives: true}
	for path, want := range map[string]string{"/ping": "*", "/api/calls": "", "/status/": ""} {
		resp, err := (&http.Client{Transport: transport}).Get("http://" + d.HTTP[0] + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("%s lets %q read", path, got)
		}
	}
}

func TestWebIsReadOnly(t *testing.T) {
	d := startServe(t, nil, "--listen-http=127.0.0.1:0")
	base := "http://" + d.HTTP[0]
	if got := fetch(t, "POST", base+"/api/drain", "", "anything"); !strings.HasPrefix(got, "403 ") {
		t.Errorf("drain without a token: %s", got)
	}
	if got := get(t, base+"/debug/pprof/"); !strings.HasPrefix(got, "404 ") {
		t.Errorf("profiles without being asked for: %.100s", got)
	}
}

// TestLabTouchesNothing: the flag lab needs none of the daemon's ports, calls or counters.
func TestLabTouchesNothing(t *testing.T) {
	d := startServe(t, nil, "--listen-http=127.0.0.1:0", "-m", "31000", "-M", "31001")
	form := `{"sdp":` + strconv.Quote(phoneBody("192.0.2.7", "4000")) + `,"flags":"RTP/AVP"}`
	for range 3 {
		got := fetch(t, "POST", "http://"+d.HTTP[0]+"/api/lab", form, "")
		var r labReply
		if err := json.Unmarshal(bytes.TrimPrefix([]byte(got), []byte("200 ")), &r); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
	}
	if got := get(t, "http://"+d.HTTP[0]+"/metrics"); !strings.Contains(got, `rtpengine_ports_used{address="127.0.0.1",name="default"} 0`) {
		t.Error("the lab holds ports of the daemon")
	}
}
