package approval_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"

	"cmkguard/internal/approval"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func by(object string) approval.Decision {
	return approval.Decision{
		Schema: 1, Matter: "plan", Hash: "h", Kind: approval.Approve, By: approval.Person{Object: object}, At: now, Expires: now.Add(time.Hour),
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	change := func(d approval.Decision, f func(*approval.Decision)) approval.Decision { f(&d); return d }
	two := approval.Need{Persons: 2}
	cases := map[string]struct {
		ds       []approval.Decision
		need     approval.Need
		approved bool
		denied   bool
	}{
		"nobody":                  {nil, two, false, false},
		"one of two":              {[]approval.Decision{by("a")}, two, false, false},
		"one twice":               {[]approval.Decision{by("a"), by("a")}, two, false, false},
		"two":                     {[]approval.Decision{by("a"), by("b")}, two, true, false},
		"no need stated":          {[]approval.Decision{by("a"), by("b")}, approval.Need{}, false, false},
		"nobody proven":           {[]approval.Decision{by(""), by("b")}, two, false, false},
		"one is a cause":          {[]approval.Decision{by("a"), by("b")}, approval.Need{Persons: 2, Causes: []string{"A"}}, false, false},
		"one denies":              {[]approval.Decision{by("a"), by("b"), change(by("c"), func(d *approval.Decision) { d.Kind = approval.Deny })}, two, false, true},
		"a denial expired":        {[]approval.Decision{by("a"), by("b"), change(by("c"), func(d *approval.Decision) { d.Kind, d.Expires = approval.Deny, now })}, two, true, false},
		"another matter":          {[]approval.Decision{by("a"), change(by("b"), func(d *approval.Decision) { d.Matter = "other" })}, two, false, false},
		"other facts":             {[]approval.Decision{by("a"), change(by("b"), func(d *approval.Decision) { d.Hash = "h2" })}, two, false, false},
		"expires this instant":    {[]approval.Decision{by("a"), change(by("b"), func(d *approval.Decision) { d.Expires = now })}, two, false, false},
		"the cause may deny":      {[]approval.Decision{change(by("a"), func(d *approval.Decision) { d.Kind = approval.Deny })}, approval.Need{Persons: 2, Causes: []string{"a"}}, false, true},
		"one where one is enough": {[]approval.Decision{by("a")}, approval.Need{Persons: 1}, true, false},
	}
	for name, c := range cases {
		s := approval.Judge(c.ds, "plan", "h", c.need, now)
		if s.Approved != c.approved || s.Denied != c.denied {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestASealHoldsEveryField(t *testing.T) {
	t.Parallel()
	s, err := approval.NewSeal(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	d := by("a")
	d.By.Name, d.By.Tenant, d.Reason = "Ann", "t", "because"
	d, err = s.Close(d)
	if err != nil || !s.Genuine(d) {
		t.Fatalf("%v, genuine %v", err, s.Genuine(d))
	}
	other, _ := approval.NewSeal(bytes.Repeat([]byte{2}, 32))
	if other.Genuine(d) || (approval.Seal{}).Genuine(d) || s.Genuine(approval.Decision{}) {
		t.Fatal("another key, no key, or nothing passes for genuine")
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.IntRange(0, len(raw)-1).Draw(rt, "at")
		changed := bytes.Clone(raw)
		changed[at] ^= byte(1 + rapid.IntRange(0, 30).Draw(rt, "bits"))
		var got approval.Decision
		if json.Unmarshal(changed, &got) != nil || got == d {
			return
		}
		if s.Genuine(got) {
			rt.Fatalf("a changed decision is genuine: %s", changed)
		}
	})
	if _, err := approval.NewSeal(make([]byte, 31)); err == nil {
		t.Fatal("a short key is taken")
	}
}
