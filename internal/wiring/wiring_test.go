package wiring_test

import (
	"encoding/json"
	"testing"
	"time"

	"cmkguard/internal/risk/risktest"
	"cmkguard/internal/wiring"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func clock() time.Time { return time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC) }

func TestOnlyAReadFactIsKnown(t *testing.T) {
	var zero wiring.Fact[int]
	if zero.OK() || wiring.Failed[int]("c", clock(), "403").OK() || wiring.NotThere[int]("c", clock(), "404").OK() {
		t.Error("a fact that was not read is OK")
	}
	local := clock().In(time.FixedZone("CEST", 7200))
	f := wiring.Read(0, "call", local)
	if !f.OK() || f.At.Location() != time.UTC || !f.At.Equal(local) {
		t.Errorf("Read = %+v", f)
	}
}

func TestRunningNeedsBothStates(t *testing.T) {
	for _, r := range []struct {
		prov, res string
		want      bool
	}{{"Succeeded", "Running", true}, {"succeeded", "RUNNING", true}, {"Succeeded", "Updating", false}, {"Updating", "Running", false}, {"", "", false}} {
		c := wiring.Cluster{ProvisioningState: r.prov, ResourceState: r.res}
		if c.Running() != r.want {
			t.Errorf("Running(%q, %q) = %t", r.prov, r.res, c.Running())
		}
	}
}

func TestKeyAndVersion(t *testing.T) {
	w := risktest.Healthy(clock())
	if v, ok := w.Version(w.Key()); !ok || v.Key.Version != risktest.Version {
		t.Errorf("Version = %+v, %t", v, ok)
	}
	if _, ok := w.Version(risktest.Key("ff")); ok {
		t.Error("found a version that is not listed")
	}
	w.Cluster.Value.CMK = nil
	if !w.Key().IsZero() {
		t.Errorf("key of a cluster without one: %s", w.Key())
	}
	w = risktest.Healthy(clock())
	w.Cluster.State = wiring.Unreadable
	if !w.Key().IsZero() {
		t.Errorf("key of an unread cluster: %s", w.Key())
	}
}

func TestNewestDoesNotDependOnOrder(t *testing.T) {
	if _, ok := wiring.Newest(nil); ok {
		t.Error("the newest of nothing")
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "n")
		var list []wiring.KeyVersion
		for i := range n {
			at := clock().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "second")) * time.Second)
			list = append(list, risktest.KeyVersion(string(rune('a'+i)), at, at))
		}
		want, _ := wiring.Newest(list)
		for _, v := range list {
			if v.Created.After(want.Created) {
				t.Fatalf("%s is newer than %s", v.Key, want.Key)
			}
		}
		got, _ := wiring.Newest(rapid.Permutation(list).Draw(t, "order"))
		if !got.Key.Equal(want.Key) {
			t.Fatalf("newest = %s or %s by order", got.Key, want.Key)
		}
	})
}

func TestWiringSurvivesJSON(t *testing.T) {
	want := risktest.Healthy(clock())
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got wiring.Wiring
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(b), string(again)); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
	if !got.Key().Equal(want.Key()) || !got.ID.Equal(want.ID) {
		t.Errorf("key %s, id %s", got.Key(), got.ID)
	}
}
