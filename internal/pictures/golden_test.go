package pictures_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

const (
	cellsX, cellsY = 24, 32 // of the golden image, for people to look at
	part           = 8      // cells of a side of the parts that are compared

	mostLayout = 2 // hundredths of the card's width
	// How much darker or lighter a part of the card may be, of 255. Measured with the
	// sans, the narrow and the serif family of Debian's fonts against each other: 21.3 at
	// most.
	mostPart = 25.0
)

// thumb is the picture averaged down to a few grey cells, whatever its height.
func thumb(img image.Image) *image.Gray {
	b := img.Bounds()
	out := image.NewGray(image.Rect(0, 0, cellsX, cellsY))
	for cy := range cellsY {
		for cx := range cellsX {
			x0, x1 := b.Min.X+cx*b.Dx()/cellsX, b.Min.X+(cx+1)*b.Dx()/cellsX
			y0, y1 := b.Min.Y+cy*b.Dy()/cellsY, b.Min.Y+(cy+1)*b.Dy()/cellsY
			sum, n := 0, 0
			for y := y0; y < max(y1, y0+1); y++ {
				for x := x0; x < max(x1, x0+1); x++ {
					sum, n = sum+int(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y), n+1
				}
			}
			out.SetGray(cx, cy, color.Gray{Y: uint8(sum / n)})
		}
	}
	return out
}

// difference is how much darker or lighter the part is that differs most.
func difference(a, b *image.Gray) (worst float64) {
	parts := map[[2]int]float64{}
	for y := range cellsY {
		for x := range cellsX {
			parts[[2]int{x / part, y / part}] += (float64(a.GrayAt(x, y).Y) - float64(b.GrayAt(x, y).Y)) / (part * part)
		}
	}
	for _, p := range parts {
		worst = max(worst, math.Abs(p))
	}
	return worst
}

func layoutDiffers(want, got []block) string {
	for i := range min(len(want), len(got)) {
		w, g := want[i], got[i]
		if w.What != g.What {
			return fmt.Sprintf("element %d is %s, want %s", i, g.What, w.What)
		}
		// A button is as wide as its words.
		if !textWide(w.What) && (abs(w.Left-g.Left) > mostLayout || abs(w.Width-g.Width) > mostLayout) {
			return fmt.Sprintf("%s begins at %d and is %d wide, want %d and %d", g.What, g.Left, g.Width, w.Left, w.Width)
		}
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d elements, want %d", len(got), len(want))
	}
	return ""
}

// textWide reports whether an element is as wide as its text: then its width, and
// where what stands beside it begins, are the font's.
func textWide(what string) bool {
	for _, s := range []string{"a.", "span", "dt", "dd", "button", "label"} {
		if len(what) >= len(s) && what[:len(s)] == s {
			return true
		}
	}
	return false
}

func abs(n int) int { return max(n, -n) }

// golden compares a picture and its layout with what is kept, or keeps them.
func golden(t *testing.T, update bool, name string, img image.Image, layout []block) {
	t.Helper()
	base := filepath.Join("testdata", filepath.FromSlash(name))
	small := thumb(img)
	if update {
		write(t, base+".png", encode(t, small))
		raw, err := json.Marshal(layout)
		if err != nil {
			t.Fatal(err)
		}
		write(t, base+".json", append(raw, '\n'))
		return
	}
	raw, err := os.ReadFile(base + ".json")
	if err != nil {
		t.Errorf("%s has no golden image: look at it, then make pictures UPDATE=1", name)
		return
	}
	var want []block
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	problem := layoutDiffers(want, layout)
	kept, err := os.ReadFile(base + ".png")
	if err != nil {
		t.Fatal(err)
	}
	old, err := png.Decode(bytes.NewReader(kept))
	if err != nil {
		t.Fatal(err)
	}
	worst := difference(old.(*image.Gray), small)
	t.Logf("%s: worst part %.1f", name, worst)
	if problem != "" || worst > mostPart {
		at := filepath.Join(os.TempDir(), "cmkguard-pictures", filepath.Base(name)+".png")
		write(t, at, encode(t, img))
		t.Errorf("%s is not as it was (a part differs by %.1f, %.0f may): %s; now it is %s", name, worst, mostPart, problem, at)
	}
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func encode(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
