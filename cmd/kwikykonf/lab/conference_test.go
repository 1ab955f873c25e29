package lab

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rtpsidecar/cmd/kwikykonf/conference"
	lab "rtpsidecar/scripts/webrtclab"
)

// TestConference: three pages in one room. Each sees the two others move, through the relay; a camera that is switched off
// shows; one that leaves is gone everywhere; no call is left at the end.
func TestConference(t *testing.T) {
	eachProxy(t, func(t *testing.T, r room) {
		b := browser(t)
		ada, ben, cleo := visit(t, b, r.url, "Ada"), visit(t, b, r.url, "Ben"), visit(t, b, r.url, "Cleo")
		ada.enter("garden")
		ben.enter("garden") // with Ada at once
		ada.sees("Ben")
		cleo.enter("garden") // late
		ada.sees("Ben", "Cleo")
		ben.sees("Ada", "Cleo")
		cleo.sees("Ada", "Ben")
		all := []*tab{ada, ben, cleo}
		for _, p := range all {
			p.press("f")
			until(t, p.name+" knows that all media goes through the relay", 5*time.Second, func() (bool, string) {
				members := p.members()
				for _, m := range members {
					if m.Path != "through the relay" {
						return false, fmt.Sprintf("%+v", members)
					}
				}
				return true, ""
			})
		}
		if got := r.calls(t); len(got) != 3 {
			t.Errorf("the relay holds the calls %q, want one for each pair", got)
		}
		screenshot(t, ada, strings.ReplaceAll(r.name, " ", "-")+"-three")

		ben.press("v")
		until(t, "Ben's camera is off for Ada", 5*time.Second, func() (bool, string) {
			members := ada.members()
			for _, m := range members {
				if m.Name == "Ben" {
					return !m.Picture, fmt.Sprintf("%+v", members)
				}
			}
			return false, fmt.Sprintf("%+v", members)
		})
		ben.press("v")
		ada.sees("Ben", "Cleo")

		ben.click(`[aria-label="Share screen"]`)
		until(t, "Ada sees Ben's screen", 10*time.Second, func() (ok bool, _ string) {
			ada.eval(&ok, `document.querySelectorAll(".tile.screen").length === 1`)
			return ok, fmt.Sprintf("%+v", ada.members())
		})
		ada.sees("Ben", "Cleo")

		cleo.press("l")
		ada.sees("Ben")
		ben.sees("Ada")
		ben.cancel() // closes the window: the page says good-bye on its way out
		until(t, "Ada is alone", 10*time.Second, func() (bool, string) {
			members := ada.members()
			return len(members) == 0, fmt.Sprintf("%+v", members)
		})
		until(t, "the relay holds no call", 5*time.Second, func() (bool, string) {
			got := r.calls(t)
			return len(got) == 0, strings.Join(got, " ")
		})
	})
}

// TestFull: nine pages, sound only, join at once; each has one call with each of the others, and the relay hears both ends
// of each.
func TestFull(t *testing.T) {
	eachProxy(t, func(t *testing.T, r room) {
		b := browser(t)
		var pages []*tab
		for i := range 9 {
			p := visit(t, b, r.url, fmt.Sprint("Guest ", i+1), quietMicrophone)
			until(t, p.name+" has a lobby with a picture", 30*time.Second, func() (ok bool, _ string) {
				p.eval(&ok, `!!document.querySelector(".frame video.shown")`)
				return ok, p.text()
			})
			p.eval(nil, `((camera) => {
				camera.value = "";
				camera.dispatchEvent(new Event("change"));
			})(document.querySelector("#camera"))`)
			pages = append(pages, p)
		}
		for _, p := range pages {
			p.submit("meadow")
		}
		whileItGrows(t, "each page has eight calls", func() (done bool, live int, last string) {
			done = true
			for _, p := range pages {
				members := p.members()
				n := 0
				for _, m := range members {
					if m.Phase == "live" {
						n++
					}
				}
				live += n
				if n != 8 || len(members) != 8 {
					done, last = false, fmt.Sprintf("%s: %d of %d: %+v", p.name, n, len(members), members)
				}
			}
			return done, live, last
		})
		screenshot(t, pages[0], strings.ReplaceAll(r.name, " ", "-")+"-full")
		// On a machine too busy to answer in time a call can be given up whose end the relay is not told: that takes its
		// time-out of a minute.
		var calls []string
		whileItGrows(t, "the relay holds a call for each pair", func() (bool, int, string) {
			calls = r.calls(t)
			return len(calls) == 36, -max(36-len(calls), len(calls)-36), strings.Join(calls, " ")
		})
		whileItGrows(t, "the relay hears both ends of each call", func() (done bool, ends int, _ string) {
			var silent []string
			for _, id := range calls {
				n := r.heard(t, id)
				ends += n
				if n != 2 {
					silent = append(silent, id)
				}
			}
			return len(silent) == 0, ends, strings.Join(silent, " ")
		})
	})
}

// quietMicrophone is a microphone that gives 20 ms of silence every 400 ms, what a page with DTX sends of a silent room. The
// browser's own would have it clean and code sound all the time, for 72 ends: too much for a small machine.
const quietMicrophone = `{
	const devices = navigator.mediaDevices, open = devices.getUserMedia.bind(devices);
	devices.getUserMedia = async (wish) => {
		if (!wish.audio) return open(wish);
		const sampleRate = 48000, numberOfFrames = sampleRate / 50, data = new Float32Array(numberOfFrames);
		const track = new MediaStreamTrackGenerator({kind: "audio"}), writer = track.writable.getWriter();
		setInterval(() => writer.write(new AudioData({
			format: "f32", sampleRate, numberOfChannels: 1, numberOfFrames, timestamp: performance.now() * 1000, data,
		})), 400);
		return new MediaStream([track]);
	};
}`

// TestTrouble: the proxy restarts under a running conference, which goes on and takes newcomers; a page crashes and its tile
// says so and goes.
func TestTrouble(t *testing.T) {
	eachProxy(t, func(t *testing.T, r room) {
		b := browser(t)
		ada, ben := visit(t, b, r.url, "Ada"), visit(t, b, r.url, "Ben")
		ada.enter("harbour")
		ben.enter("harbour")
		ada.sees("Ben")

		r.stop()
		until(t, "Ada is told that the server is out of reach", 15*time.Second, func() (bool, string) {
			text := ada.text()
			return strings.Contains(text, "out of reach"), text
		})
		screenshot(t, ada, strings.ReplaceAll(r.name, " ", "-")+"-no-socket")
		ada.sees("Ben") // media needs no proxy
		r.start(t)
		until(t, "Ada is connected again", 40*time.Second, func() (bool, string) {
			text := ada.text()
			return !strings.Contains(text, "out of reach"), text
		})
		cleo := visit(t, b, r.url, "Cleo")
		cleo.enter("harbour")
		for _, p := range []*tab{ada, ben, cleo} {
			p.seesAll(40*time.Second, others(p, ada, ben, cleo)...)
		}

		crash(t, cleo)
		until(t, "Cleo's tile says that her connection is lost", 20*time.Second, func() (bool, string) {
			text := ada.text()
			return strings.Contains(text, "connection is lost"), text
		})
		until(t, "Cleo's tile is gone", 30*time.Second, func() (bool, string) {
			members := ada.members()
			return len(members) == 1, fmt.Sprintf("%+v", members)
		})
		ada.sees("Ben")
		until(t, "the relay holds one call", 10*time.Second, func() (bool, string) {
			got := r.calls(t)
			return len(got) == 1, strings.Join(got, " ")
		})
	})
}

func others(p *tab, all ...*tab) (names []string) {
	for _, o := range all {
		if o != p {
			names = append(names, o.name)
		}
	}
	return names
}

// crash ends the page's process without a word to anybody.
func crash(t *testing.T, p *tab) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	// There is no reply from a crashed page.
	_, _ = chromedp.Run(ctx, chromedp.Navigate("chrome://crash"))
}

// TestRefused: a room that the proxy does not give says so in the lobby, and so does a proxy that is not there.
func TestRefused(t *testing.T) {
	stop := startKamailio(t)
	url := serve(t, conference.Config{SIP: fmt.Sprintf("ws://%s:%d", lab.RelayAddr, proxyPort)})
	p := visit(t, browser(t), url, "Ada")
	alert := func(want string) {
		t.Helper()
		until(t, "the lobby says "+want, 20*time.Second, func() (bool, string) {
			var text string
			p.eval(&text, `document.querySelector("form")?.innerText`)
			return strings.Contains(text, want), text
		})
	}
	p.enter("closed-garden")
	alert("You are not let into “closed-garden”")
	screenshot(t, p, "refused")
	stop()
	p.enter("garden")
	alert("The call server cannot be reached")
	screenshot(t, p, "unreachable")
}

// TestNoAnswer: a call that nobody answers says so on the member's tile, which offers to try again.
func TestNoAnswer(t *testing.T) {
	relay, err := lab.StartDaemon(t.Context(), relayProgram(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	startKamailio(t)
	url := serve(t, conference.Config{SIP: fmt.Sprintf("ws://%s:%d", lab.RelayAddr, proxyPort)})
	b := browser(t)
	ada, ben := visit(t, b, url, "Ada unanswered"), visit(t, b, url, "Ben unanswered")
	ada.enter("orchard")
	ben.enter("orchard")
	until(t, "Ada is told that Ben does not answer", 30*time.Second, func() (bool, string) {
		text := ada.text()
		return strings.Contains(text, "did not answer") && strings.Contains(text, "(2 of 4)") && strings.Contains(text, "Try again"), text
	})
	screenshot(t, ada, "no-answer")
	ada.press("l")
	until(t, "Ada is told that she left", 5*time.Second, func() (bool, string) {
		text := ada.text()
		return strings.Contains(text, "You left “orchard”"), text
	})
	screenshot(t, ada, "left")
	ada.eval(nil, `document.querySelector("button").click()`)
	ada.enter("meadow")
}

// TestNoDevice: a lobby without permission for camera and microphone, or without any, says so and can be used.
func TestNoDevice(t *testing.T) {
	url := serve(t, conference.Config{SIP: "ws://127.0.0.1:9"})
	for name, c := range map[string]struct {
		flag chromedp.ExecAllocatorOption
		want string
	}{
		"denied":  {chromedp.Flag("deny-permission-prompts", true), "The browser may not use your camera"},
		"missing": {chromedp.Flag("use-fake-device-for-media-stream", "device-count=0"), "No camera found"},
	} {
		t.Run(name, func(t *testing.T) {
			flags := []chromedp.ExecAllocatorOption{c.flag}
			if name == "denied" {
				flags = append(flags, chromedp.Flag("use-fake-ui-for-media-stream", false))
			}
			p := visit(t, browser(t, flags...), url, name)
			until(t, "the lobby says "+c.want, 15*time.Second, func() (bool, string) {
				text := p.text()
				return strings.Contains(text, c.want), text
			})
			screenshot(t, p, "device-"+name)
		})
	}
}
