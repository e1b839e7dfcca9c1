package guard_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"io"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/webhook"
	"cmkguard/internal/azuresim"
	"cmkguard/internal/policy"
	"cmkguard/internal/store/filestore"
)

// BenchmarkSignalToChannel measures from a signal's arrival to the first acceptance of
// its alert by a channel: a real HTTP receiver on loopback, the embedded store on disk,
// the real clients against the simulated Azure. Every round takes the access away or
// gives it back. Waiting for the queue's next poll is not in it.
func BenchmarkSignalToChannel(b *testing.B) {
	accepted := make(chan time.Time, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rw.WriteHeader(http.StatusAccepted)
		if strings.Contains(string(body), "CMK-050") {
			select {
			case accepted <- time.Now():
			default: // the first of a round counts
			}
		}
	}))
	defer receiver.Close()
	w := newWorld(b, setup{kind: "v1", created: 30 * 24 * time.Hour, mode: policy.DryRun})
	st, err := filestore.Open(b.TempDir(), w.sim.Clock().Now)
	must(b, err)
	defer st.Close()
	hook, err := webhook.New(receiver.URL, base64.StdEncoding.EncodeToString(make([]byte, 24)), w.sim.Clock().Now)
	must(b, err)
	w.b = st.Backend()
	w.g = w.boot(parts{backend: w.b, channel: alert.Channel(hook)})
	p := &worker{g: w.g, b: w.b}
	var took []time.Duration
	lost := false
	for b.Loop() {
		w.sim.Clock().Advance(10 * time.Minute)
		if lost = !lost; lost {
			w.sim.Unassign(who)
		} else {
			w.sim.Assign(root+"Microsoft.KeyVault/vaults/kv-a", azuresim.RoleCryptoServiceEncryptionUser, who)
			w.sim.Clock().Advance(20 * time.Minute)
		}
		select {
		case <-accepted: // of the round before
		default:
		}
		began := time.Now()
		w.hint()
		w.turn(p)
		select {
		case at := <-accepted:
			took = append(took, at.Sub(began))
		case <-time.After(10 * time.Second):
			b.Fatal("nobody was told")
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	b.ReportMetric(float64(took[min(len(took)-1, len(took)*99/100)].Microseconds())/1000, "ms-p99")
}
