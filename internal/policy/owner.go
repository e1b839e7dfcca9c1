package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Owner says where this installation acts, where several look at the same
// clusters. Its zero value declares nothing: then nothing is held by it.
type Owner struct {
	Installation  string            // our name; "" declares nothing
	Subscriptions []string          // ids in which we act; empty: all
	Tags          map[string]string // of the cluster, value patterns, all of which must match; empty: any
	Others        []string          // object ids of other installations' remediators that are meant to be there
}

// Owns reports whether this installation is the one that acts on the target, and
// why not. Without a declaration it is. A tag can only take away: whoever may write
// one cannot make us act where we would not without it.
func (p *Policy) Owns(t Target) (bool, string) {
	o, at := p.Owner, p.where(p.lines["owner"])
	if o.Installation == "" {
		return true, ""
	}
	same := func(s string) bool { return strings.EqualFold(s, t.Subscription) }
	if len(o.Subscriptions) > 0 && !slices.ContainsFunc(o.Subscriptions, same) {
		return false, fmt.Sprintf("%s owner.subscriptions does not list %q", at, t.Subscription)
	}
	if len(o.Tags) > 0 && !(Match{Tags: o.Tags}).matches(t) {
		return false, at + " owner.tags do not match its tags"
	}
	return true, ""
}

func (r reader) owner(n node) {
	o := &r.policy.Owner
	found := n.fields(map[string]func(node){
		"installation": func(n node) {
			o.Installation = n.text()
			if err := checkInstallation(o.Installation); err != nil {
				n.problem("%v", err)
			}
		},
		"subscriptions": func(n node) { o.Subscriptions = n.texts(checkSubscription) },
		"tags":          func(n node) { o.Tags = readTags(n) },
		"others":        func(n node) { o.Others = n.texts(checkSubscription) },
	})
	n.require(found, "installation", "installation: NAME, which the tag cmkguard-owner and the other installations know it by")
}

func checkInstallation(s string) error {
	odd := strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
	})
	if odd || s == "" || len(s) > 40 {
		return fmt.Errorf("%q is no name: want 1 to 40 letters, digits and dashes", clip(s))
	}
	return nil
}
