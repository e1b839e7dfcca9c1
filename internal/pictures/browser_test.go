package pictures_test

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

//go:embed testdata/audit.js
var auditScript string

// wanted skips the test unless pictures are asked for, and fails it if there is no
// browser then. update: the golden images are written, not compared.
func wanted(t *testing.T) (update bool) {
	t.Helper()
	mode := os.Getenv("CMKGUARD_PICTURES")
	if mode == "" {
		t.Skip("needs a browser: make pictures")
	}
	return mode == "update"
}

// browser is one tab of a headless Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context
}

func open(t *testing.T) *browser {
	t.Helper()
	path := os.Getenv("CMKGUARD_CHROMIUM")
	if path == "" {
		path = "chromium"
	}
	if _, err := exec.LookPath(path); err != nil {
		t.Fatalf("no browser: %v (CMKGUARD_CHROMIUM names one)", err)
	}
	dir, err := os.MkdirTemp("", "cmkguard-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // a browser that is ending may still write: no failure of ours
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.Headless}
	for _, f := range []string{"no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "hide-scrollbars"} {
		opts = append(opts, chromedp.Flag(f, true))
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(stop)
	ctx, done := chromedp.NewContext(ctx)
	t.Cleanup(done)
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	t.Cleanup(cancel)
	b := &browser{t, ctx}
	b.do(chromedp.Navigate("about:blank"))
	return b
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// look makes the window so wide, and the person like it light or dark.
func (b *browser) look(width int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do(emulation.SetDeviceMetricsOverride(width, 900, 1, false),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}))
}

// audited is what testdata/audit.js measures.
type audited struct {
	Overflow, Contrast []string
	Layout             []block
	Text               string
	Texts              int
}

// block is one element of a card: where it begins and how wide it is, in hundredths
// of the card.
type block struct {
	What        string
	Left, Width int
}

func (b *browser) audit() audited {
	b.t.Helper()
	var raw string
	b.do(chromedp.Evaluate(auditScript, &raw))
	var a audited
	if err := json.Unmarshal([]byte(raw), &a); err != nil {
		b.t.Fatal(err)
	}
	return a
}

// shot is a picture of the card, or of the whole page where there is none.
func (b *browser) shot() image.Image {
	b.t.Helper()
	var box struct{ X, Y, Width, Height float64 }
	b.do(chromedp.Evaluate(`(() => { const r = (document.querySelector('main .card') || document.body).getBoundingClientRect(); return { X: r.x, Y: r.y + scrollY, Width: r.width, Height: r.height } })()`, &box))
	var raw []byte
	b.do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		raw, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).WithClip(&page.Viewport{X: box.X, Y: box.Y, Width: box.Width, Height: box.Height, Scale: 1}).Do(ctx)
		return err
	}))
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url), chromedp.WaitReady("body"))
}
