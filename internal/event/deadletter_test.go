package event

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cmkguard/internal/azureid"
)

func TestWhatEventGridSaysOfWhatItGaveUp(t *testing.T) {
	t.Parallel()
	grid := gridEvent(`"dataVersion"`, `"deadLetterReason":"MaxDeliveryAttemptsExceeded","deliveryAttempts":30,"lastDeliveryOutcome":"NotFound",`+
		`"publishTime":"2026-11-01T00:05:13.0265758Z","lastDeliveryAttemptTime":"2026-11-02T00:05:13Z","dataVersion"`)
	cloud := strings.Replace(cloudEvent(), `"specversion"`, `"deadletterreason":"TimeToLiveExceeded","deliveryattempts":"4","lastdeliveryoutcome":"TimedOut","publishtime":"nonsense","specversion"`, 1)
	got := ReadGivenUp([]byte("[" + grid + "," + gridEvent() + "," + cloud + "]"))
	if len(got) != 2 {
		t.Fatalf("%+v", got)
	}
	at := time.Date(2026, 11, 1, 0, 5, 13, 0, time.UTC)
	want := GivenUp{ID: got[0].ID, Type: "Microsoft.KeyVault.KeyNearExpiry", Reason: "MaxDeliveryAttemptsExceeded", Attempts: 30, Outcome: "NotFound",
		Published: at.Add(26575800), Last: at.AddDate(0, 0, 1)}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Error(diff)
	}
	if c := got[1]; c.Reason != "TimeToLiveExceeded" || c.Attempts != 4 || c.Outcome != "TimedOut" || !c.Published.IsZero() || c.ID == "" {
		t.Errorf("%+v", c)
	}
	for _, raw := range []string{grid, cloud} { // and the events are read as if they had been delivered
		p, err := ParseGrid([]byte(raw), azureid.Public())
		if err != nil || len(p.Signals) != 1 || p.Signals[0].Kind != KeyNearExpiry {
			t.Errorf("%v %+v", err, p)
		}
	}
	for _, raw := range []string{gridEvent(), "", "[", "{}", "[1,null]"} {
		if got := ReadGivenUp([]byte(raw)); got != nil {
			t.Errorf("%s: %+v", raw, got)
		}
	}
}

func TestWhoseEventItIs(t *testing.T) {
	t.Parallel()
	for typ, ours := range map[string]bool{
		"Microsoft.KeyVault.KeyExpired": true, "microsoft.keyvault.SecretExpired": true, "Microsoft.Resources.ResourceWriteSuccess": true,
		"CmkGuard.KeyDeleted": true, "Microsoft.ResourceNotifications.Resources.Deleted": true, "Microsoft.EventGrid.SubscriptionValidationEvent": true,
		"Microsoft.Storage.BlobCreated": false, "Microsoft.KeyVaultX": false, "": false,
	} {
		if Ours(typ) != ours {
			t.Errorf("%q: %v", typ, !ours)
		}
	}
}

func FuzzReadGivenUp(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(strings.Replace(s, `"data"`, `"deadLetterReason":"x","deliveryAttempts":1,"publishTime":"2026-11-01T00:05:13Z","data"`, 1)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, g := range ReadGivenUp(raw) {
			if g.Reason == "" || g.Attempts < 0 || len(g.ID)+len(g.Type)+len(g.Reason)+len(g.Outcome) > 4*304 {
				t.Fatalf("%+v", g)
			}
		}
	})
}
