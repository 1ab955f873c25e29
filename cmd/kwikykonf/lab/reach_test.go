package lab

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rtpsidecar/cmd/kwikykonf/conference"
	lab "rtpsidecar/scripts/webrtclab"
)

// TestReach: on a phone's width nothing stands outside the screen; every control is reached with the Tab key and works with
// the keyboard; who is muted is shown to the others.
func TestReach(t *testing.T) {
	relay, err := lab.StartDaemon(t.Context(), relayProgram(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	startKamailio(t)
	url := serve(t, conference.Config{SIP: fmt.Sprintf("ws://%s:%d", lab.RelayAddr, proxyPort)})
	b := browser(t)
	ada, ben := visit(t, b, url, "Ada"), visit(t, b, url, "Ben")
	const width = 360
	if _, err := chromedp.Run(ada.ctx, chromedp.EmulateViewport(width, 720)); err != nil {
		t.Fatal(err)
	}
	fits := func(what string) {
		t.Helper()
		var outside []string
		ada.eval(&outside, `[...document.querySelectorAll("button, select, input, video, .tile")].filter(e => {
			const r = e.getBoundingClientRect();
			return r.width > 0 && (r.left < 0 || r.right > %d);
		}).map(e => e.outerHTML.slice(0, 80))`, width)
		var scroll int
		ada.eval(&scroll, `document.documentElement.scrollWidth`)
		if len(outside) > 0 || scroll > width {
			t.Errorf("%s: %d wide, outside the screen: %q", what, scroll, outside)
		}
	}
	fits("lobby")
	ada.enter("grove")
	ben.enter("grove")
	ada.sees("Ben")
	fits("room")
	ada.press("f")
	fits("figures")
	ada.press("f")

	var want []string
	ada.eval(&want, `[...document.querySelectorAll("nav button")].map(b => b.getAttribute("aria-label") || b.innerText)`)
	if len(want) != 5 {
		t.Fatalf("the controls are %q", want)
	}
	ada.eval(nil, `document.activeElement?.blur()`)
	var reached []string
	for range 20 {
		if _, err := chromedp.Run(ada.ctx, chromedp.KeyEvent("\t")); err != nil {
			t.Fatal(err)
		}
		var label string
		ada.eval(&label, `document.activeElement?.getAttribute("aria-label") || document.activeElement?.innerText`)
		reached = append(reached, label)
		if label == want[0] {
			break
		}
	}
	if _, err := chromedp.Run(ada.ctx, chromedp.KeyEvent("\r")); err != nil { // on the first: the microphone
		t.Fatal(err)
	}
	until(t, "Ben sees that Ada is muted", 10*time.Second, func() (muted bool, _ string) {
		ben.eval(&muted, `[...document.querySelectorAll(".tile:not(.own) .silent")].some(e => !e.hidden)`)
		return muted, ben.text()
	})
	for range want[1:] {
		if _, err := chromedp.Run(ada.ctx, chromedp.KeyEvent("\t")); err != nil {
			t.Fatal(err)
		}
		var label string
		ada.eval(&label, `document.activeElement?.getAttribute("aria-label") || document.activeElement?.innerText`)
		reached = append(reached, label)
	}
	for _, w := range want[1:] {
		if !slices.Contains(reached, w) {
			t.Errorf("the Tab key does not reach %q, but %q", w, reached)
		}
	}
	if _, err := chromedp.Run(ada.ctx, chromedp.KeyEvent("\r")); err != nil { // on the last: leave
		t.Fatal(err)
	}
	until(t, "Ben is alone", 10*time.Second, func() (bool, string) {
		members := ben.members()
		return len(members) == 0, fmt.Sprintf("%+v", members)
	})
}
