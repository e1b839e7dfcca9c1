package app

import (
	"path/filepath"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/findings"
)

// late is an output that takes minutes of the world's time to be written.
type late struct {
	sim *azuresim.Sim
	by  time.Duration
}

func (l late) Write(b []byte) (int, error) {
	l.sim.Clock().Advance(l.by)
	return len(b), nil
}

// A look that takes long reads what clusters share anew with the next page,
// before it would be too old to be judged.
func TestALongLookReadsAnew(t *testing.T) {
	t.Parallel()
	for by, renewed := range map[time.Duration]bool{time.Second / 1000: false, time.Minute: true} {
		sim := azuresim.New(azuresim.Options{Still: true, NoGraphQuota: true})
		subscriptions, token := sim.AddEstate(azuresim.Estate{Clusters: 1001, PerKey: 500}) // a page and one more
		srv, err := sim.Serve()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(srv.Close)
		profile, err := srv.WriteProfile(t.TempDir(), token)
		if err != nil {
			t.Fatal(err)
		}
		env := map[string]string{"CMKGUARD_CLOUD": profile, "CMKGUARD_SUBSCRIPTIONS": subscriptions[0], "HOME": filepath.Join(t.TempDir(), "home")}
		l, err := newLook(Process{Env: func(k string) string { return env[k] }}, checkFlags{output: "jsonl", failOn: "never", depth: "sweep"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		began := l.since
		sink, err := findings.NewSink(late{sim, by}, "jsonl", findings.Report{At: l.now(), Complete: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.over(t.Context(), sink, newProgress(late{sim, 0})); err != nil {
			t.Fatal(err)
		}
		if l.since.After(began) != renewed {
			t.Errorf("written in steps of %s: renewed %v, want %v", by, !renewed, renewed)
		}
	}
}
