//go:build pictures

package lab

import (
	"context"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"rtpsidecar/cmd/kwikykonf/conference"
	lab "rtpsidecar/scripts/webrtclab"
)

// TestPictures takes the pictures of the documentation and those to judge the page by, into the folder that
// CONFERENCE_PICTURES names.
func TestPictures(t *testing.T) {
	if os.Getenv("CONFERENCE_PICTURES") == "" {
		t.Fatal("CONFERENCE_PICTURES names no folder")
	}
	relay, err := lab.StartDaemon(t.Context(), relayProgram(t)...)
	if err != nil {
		t.Fatal(err)
	}
	defer relay.Close()
	startKamailio(t)
	url := serve(t, conference.Config{Upstream: fmt.Sprintf("ws://%s:%d", lab.RelayAddr, proxyPort)})

	people := []person{
		{"Ada", color.RGBA{0xd9, 0xc7, 0xa8, 255}, color.RGBA{0x6f, 0x8f, 0x86, 255}, color.RGBA{0xe8, 0xb9, 0x94, 255}, color.RGBA{0x33, 0x55, 0x66, 255}},
		{"Ben", color.RGBA{0x9f, 0xb8, 0xc8, 255}, color.RGBA{0x4c, 0x64, 0x7c, 255}, color.RGBA{0x8d, 0x5a, 0x3b, 255}, color.RGBA{0xc9, 0x6f, 0x4a, 255}},
		{"Cleo", color.RGBA{0xe6, 0xcd, 0xc6, 255}, color.RGBA{0x9a, 0x6f, 0x7d, 255}, color.RGBA{0xd6, 0x9c, 0x72, 255}, color.RGBA{0x4a, 0x7a, 0x5c, 255}},
	}
	var tabs []*tab
	for _, p := range people {
		file := filepath.Join(t.TempDir(), p.name+".y4m")
		if err := p.film(file); err != nil {
			t.Fatal(err)
		}
		tabs = append(tabs, visit(t, browser(t, chromedp.Flag("use-file-for-fake-video-capture", file)), url, p.name))
	}
	ada, ben, cleo := tabs[0], tabs[1], tabs[2]
	until(t, "a picture in the lobby", 15*time.Second, func() (ok bool, _ string) {
		ada.eval(&ok, `!!document.querySelector(".frame video.shown")`)
		return ok, ada.text()
	})
	ada.eval(nil, `(document.querySelector("#name").value = "Ada", document.querySelector("#room").value = "garden")`)
	settle()
	shots := func(p *tab, name string) {
		for _, s := range []struct {
			suffix        string
			width, height int64
			scheme        string
		}{{"", 1280, 720, "light"}, {"-dark", 1280, 720, "dark"}, {"-phone", 360, 720, "light"}} {
			view(t, p, s.width, s.height, s.scheme)
			settle()
			screenshot(t, p, name+s.suffix)
		}
		view(t, p, 1280, 720, "light")
	}
	shots(ada, "lobby")
	view(t, ben, 1280, 720, "light")
	view(t, cleo, 1280, 720, "light")
	ada.enter("garden")
	until(t, "Ada is in", 10*time.Second, func() (ok bool, _ string) {
		ada.eval(&ok, `!!document.querySelector(".invitation")`)
		return ok, ada.text()
	})
	shots(ada, "one")
	ben.enter("garden")
	cleo.enter("garden")
	ada.sees("Ben", "Cleo")
	time.Sleep(12 * time.Second) // the encoders find their rate
	shots(ada, "three")
	ada.press("f")
	shots(ada, "conference")
	ada.press("f")
	ada.press("?")
	shots(ada, "keyboard")
	ada.eval(nil, `document.querySelector("dialog[open] button").click()`)
	ada.eval(nil, `document.querySelector("button[title=Settings]").click()`)
	shots(ada, "settings")
	ada.eval(nil, `document.querySelector("dialog[open] button").click()`)
	ada.eval(nil, `document.querySelector("nav button").focus()`)
	ben.press("v")
	ben.press("m")
	ada.press("m")
	shots(ada, "muted")
	ben.press("v")
	// Nine pages with pictures are too much for most machines: six tiles are copies, which is enough to judge the layout.
	ada.eval(nil, `["Dai", "Eva Lindqvist", "Fred", "Grace", "Hedy", "Ida Maximiliane von Langenscheidt"].forEach((name, i) => {
		const copy = document.querySelector(".tile:not(.own)").cloneNode(true);
		copy.classList.remove("picture", "speaking");
		copy.style.setProperty("--hue", 60 * i);
		copy.querySelector(".who").textContent = name;
		copy.querySelector(".face").textContent = name.split(" ").map(w => w[0]).filter((_, i, all) => i === 0 || i === all.length - 1).join("");
		copy.querySelector(".silent").hidden = i %% 2 > 0;
		document.querySelector(".stage").append(copy);
	})`)
	view(t, ada, 1200, 720, "light") // another size: the stage is arranged anew
	shots(ada, "nine")
	ada.press("f")
	shots(ada, "nine-figures")
}

// view gives the page a size and a colour scheme.
func view(t *testing.T, p *tab, width, height int64, scheme string) {
	t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
	_, err := chromedp.Run(p.ctx, chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Run(p.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatal(err)
	}
}

// settle lets animations end before a picture is taken.
func settle() { time.Sleep(600 * time.Millisecond) }
