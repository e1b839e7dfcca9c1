package preview

import (
	"strings"
	"testing"
)

// show writes spans as text: [class:text], (url text).
func show(lines [][]Span) string {
	var out []string
	for _, l := range lines {
		var b strings.Builder
		for _, s := range l {
			switch {
			case s.URL != "":
				b.WriteString("(" + s.URL + " " + s.Text + ")")
			case s.Class != "":
				b.WriteString("[" + s.Class + ":" + s.Text + "]")
			default:
				b.WriteString(s.Text)
			}
		}
		out = append(out, b.String())
	}
	return strings.Join(out, "/")
}

func TestSlackText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"*what* no grant\n*by* noon":            "[b:what] no grant/[b:by] noon",
		"a*b*c 2 * 3 * 4":                       "a*b*c 2 * 3 * 4",
		"*bold _both_*":                         "[b:bold ][b i:both]",
		"`cmkguard *x*`":                        "[code:cmkguard *x*]",
		"<https://a.example/x|the page> &lt;b>": "(https://a.example/x the page) <b>",
		"<javascript:x|y>":                      "y",
		"<!channel> <@U1> <#C1|ops>":            "[mention:!channel] [mention:@U1] [mention:ops]",
		"&amp;lt; &lt;!channel&gt;":             "&lt; <!channel>",
		"redis_orders_cache and kv_a":           "redis_orders_cache and kv_a",
		"~gone~ \\*":                            "[s:gone] \\*",
		"*":                                     "*",
		"<":                                     "<",
		"*_*_*_*_*_x_*_*_*_*_*":                 "",
	} {
		if got := show(slackText().lines(in)); got != want && want != "" {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestTeamsText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"**what** no _grant_":                    "[b:what] no [i:grant]",
		`redis\_orders \*x\* \[a\]\(b\) \\`:      `redis_orders *x* [a](b) \`,
		"[the page](https://a.example/x) end":    "(https://a.example/x the page) end",
		"[x](javascript:alert) [y](data:text/x)": "x y",
		"&lt;b> a&amp;b":                         "<b> a&b",
		"one\rtwo\r\nthree":                      "one/two/three",
		"[a] (b) [](c) [d](":                     "[a] (b) [](c) [d](",
	} {
		if got := show(teamsText().lines(in)); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
