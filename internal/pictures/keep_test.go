package pictures_test

import (
	"cmp"
	"image"
	"image/color"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const maxKept = 60_000 // bytes of one picture of the documentation

// kept are the pictures that the documentation shows.
func kept() []string {
	return []string{"slack/key-deleted", "teams/key-deleted", "email/key-deleted", "teams/rotation-done", "slack/digest", "pages/held", "pages/silence"}
}

// keep writes the picture into docs/images, in 24 colours: text needs no more, and
// the repository stays small.
func keep(t *testing.T, b *browser, name string) {
	t.Helper()
	raw := encode(t, fewColours(b.shot()))
	if len(raw) > maxKept {
		t.Errorf("%s has %d bytes, want %d at most", name, len(raw), maxKept)
	}
	write(t, filepath.Join("..", "..", "docs", "images", strings.ReplaceAll(name, "/", "-")+".png"), raw)
}

func fewColours(img image.Image) image.Image {
	bounds, count := img.Bounds(), map[color.RGBA]int{}
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(img.At(x, y)).(color.RGBA) }
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[at(x, y)]++
		}
	}
	var all []color.RGBA
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B))
	})
	var palette color.Palette
	for _, c := range all[:min(24, len(all))] {
		palette = append(palette, c)
	}
	out := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.Set(x, y, img.At(x, y))
		}
	}
	return out
}
