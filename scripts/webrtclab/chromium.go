package webrtclab

import (
	"context"
	"encoding/json"
	"io/fs"

	"github.com/chromedp/chromedp"
)

type chromium struct {
	ctx    context.Context
	cancel []context.CancelFunc
}

// Chromium starts Debian's Chromium, headless, with the lab's page.
func Chromium(ctx context.Context) (*Page, error) { return ChromiumWith(ctx, PageFiles()) }

// ChromiumWith is [Chromium] with another page: files holds its index.html.
func ChromiumWith(ctx context.Context, files fs.FS) (*Page, error) {
	return open(ctx, files, startChromium)
}

func startChromium(ctx context.Context, url string) (Evaluator, error) {
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("ignore-certificate-errors", true), // of wss servers with certificates made by the test
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter"),
		chromedp.Flag("mute-audio", false),
	)
	c := &chromium{}
	alloc, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	tab, cancelTab := chromedp.NewContext(alloc)
	c.ctx, c.cancel = tab, []context.CancelFunc{cancelTab, cancelAlloc}
	if _, err := chromedp.Run(tab, chromedp.Navigate(url)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *chromium) Evaluate(ctx context.Context, js string) (json.RawMessage, error) {
	run, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	out, err := chromedp.Run(run, chromedp.Evaluate[[]byte](js, chromedp.EvalAwaitPromise))
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}

func (c *chromium) Close() {
	for _, cancel := range c.cancel {
		cancel()
	}
}
