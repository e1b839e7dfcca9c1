package policy

import (
	"strings"
	"testing"
)

func TestWhoActsWhere(t *testing.T) {
	t.Parallel()
	target := Target{Subscription: "11111111-1111-1111-1111-111111111111", ClusterName: "c", Tags: map[string]string{"region": "weu"}}
	for text, want := range map[string]bool{
		"":                           true,
		"owner: {installation: a}\n": true,
		"owner: {installation: a, subscriptions: [11111111-1111-1111-1111-111111111111]}\n":                      true,
		"owner: {installation: a, subscriptions: [22222222-2222-2222-2222-222222222222]}\n":                      false,
		"owner: {installation: a, tags: {region: weu}}\n":                                                        true,
		"owner: {installation: a, tags: {region: neu}}\n":                                                        false,
		"owner: {installation: a, tags: {other: x}}\n":                                                           false,
		"owner: {installation: a, subscriptions: [11111111-1111-1111-1111-111111111111], tags: {region: neu}}\n": false,
	} {
		ok, why := parse(t, "version: 1\n"+text).Owns(target)
		if ok != want || ok == (why != "") {
			t.Errorf("%s: %v %q", text, ok, why)
		}
	}
	for text, want := range map[string]string{
		"owner: {subscriptions: [a]}\n":            "has no installation",
		"owner: {installation: \"a b\"}\n":         "want 1 to 40 letters",
		"owner: {installation: a, owns: [b]}\n":    "owns",
		"owner: {installation: a, others: [/x]}\n": "others",
	} {
		if got := strings.Join(refuse(t, "version: 1\n"+text), "\n"); !strings.Contains(got, want) || !strings.HasPrefix(got, "2 ") {
			t.Errorf("%s: %s", text, got)
		}
	}
}
