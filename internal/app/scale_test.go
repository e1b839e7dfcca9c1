package app_test

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
)

// spent is what one look at an estate cost.
type spent struct {
	graph, others int // calls: to Resource Graph, and all others
	bound         int // of the others
	peak          int64
	out           string
}

// lookAt runs the built binary against a simulated estate and counts its calls.
func lookAt(tb testing.TB, e azuresim.Estate, depth, output string) spent {
	tb.Helper()
	sim := azuresim.New(azuresim.Options{Wall: time.Now, Still: true, NoGraphQuota: e.Clusters > 1000})
	subscriptions, token := sim.AddEstate(e)
	srv, err := sim.Serve()
	if err != nil {
		tb.Fatal(err)
	}
	defer srv.Close()
	profile, err := srv.WriteProfile(tb.TempDir(), token)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), os.Args[0], "check", "--depth", depth, "-o", output, "--fail-on", "never")
	cmd.Env = []string{"CMKGUARD_TEST_AS_PROGRAM=1", "CMKGUARD_CLOUD=" + profile, "CMKGUARD_SUBSCRIPTIONS=" + strings.Join(subscriptions, ","), "HOME=" + tb.TempDir()}
	file, err := os.Create(filepath.Join(tb.TempDir(), "out"))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	var errs strings.Builder
	cmd.Stdout, cmd.Stderr = file, &errs
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	peak := watchPeak(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		tb.Fatalf("%v\n%s", err, &errs)
	}
	s := spent{peak: peak()}
	for _, c := range sim.Calls() {
		switch {
		case strings.EqualFold(c.Path, "/providers/Microsoft.ResourceGraph/resources"):
			s.graph++
		case c.Caller != "":
			s.others++
		}
	}
	per := cmp.Or(e.PerKey, azuresim.ClustersPerKey)
	keys := (e.Clusters + per - 1) / per
	vaults := (keys + azuresim.KeysPerVault - 1) / azuresim.KeysPerVault
	s.bound = 2*vaults + 3*keys
	if depth == "daily" {
		s.bound += e.Clusters + 8*vaults
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		tb.Fatal(err)
	}
	raw, err := io.ReadAll(file)
	if err != nil {
		tb.Fatal(err)
	}
	s.out = string(raw)
	return s
}

// watchPeak follows a process's peak memory, in bytes, until it is asked for.
// getrusage would count the parent's, which a child has before it runs its own
// program.
func watchPeak(pid int) (end func() int64) {
	stop, out := make(chan struct{}), make(chan int64)
	go func() {
		var kib int64
		for {
			raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err == nil {
				for line := range strings.Lines(string(raw)) {
					_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &kib)
				}
			}
			select {
			case <-stop:
				out <- kib << 10
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(stop); return <-out }
}

// A look at everything costs at most pages of Resource Graph, two calls per
// vault and three per key; a daily one at most one per cluster and eight per
// vault more.
func TestALookAtEverythingStaysWithinItsBound(t *testing.T) {
	t.Parallel()
	for _, depth := range []string{"sweep", "daily"} {
		s := lookAt(t, azuresim.Estate{Clusters: 100}, depth, "table")
		t.Logf("%s: %d queries, %d calls, bound %d", depth, s.graph, s.others, s.bound)
		if s.others > s.bound || s.others == 0 {
			t.Errorf("%s: %d calls, bound %d", depth, s.others, s.bound)
		}
		if depth == "sweep" && !strings.Contains(s.out, "100 clusters: 0 broken, 0 unknown") || strings.Contains(s.out, "unknown  ") {
			t.Errorf("%s: a healthy estate:\n%.3000s", depth, s.out)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, depth := range []string{"sweep", "daily"} {
		for _, n := range []int{100, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/clusters-%d", depth, n), func(b *testing.B) {
				for range b.N {
					s := lookAt(b, azuresim.Estate{Clusters: n}, depth, "jsonl")
					b.ReportMetric(float64(s.graph), "queries")
					b.ReportMetric(float64(s.others), "calls")
					b.ReportMetric(float64(s.bound), "bound")
					b.ReportMetric(float64(s.peak)/(1<<20), "MiB")
				}
			})
		}
	}
}

// BenchmarkCheckGrowth lets the clusters grow alone: twenty keys whatever their
// number.
func BenchmarkCheckGrowth(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		b.Run(fmt.Sprintf("keys-20/clusters-%d", n), func(b *testing.B) {
			for range b.N {
				s := lookAt(b, azuresim.Estate{Clusters: n, PerKey: n / 20}, "sweep", "jsonl")
				b.ReportMetric(float64(s.graph), "queries")
				b.ReportMetric(float64(s.others), "calls")
				b.ReportMetric(float64(s.peak)/(1<<20), "MiB")
			}
		})
	}
}
