package teams_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/alert/teams"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// workflow enforces what a Workflows webhook asks: a message of one Adaptive
// Card, 28 KB at most (learn.microsoft.com microsoftteams/platform/
// webhooks-and-connectors/how-to/connectors-using).
func workflow(w http.ResponseWriter, _ *http.Request, body []byte) {
	var m struct {
		Type        string
		Attachments []struct {
			ContentType string
			Content     struct {
				Type, Version string
				Body          []json.RawMessage
			}
		}
	}
	err := json.Unmarshal(body, &m)
	if err != nil || len(body) > 28<<10 || m.Type != "message" || len(m.Attachments) != 1 || m.Attachments[0].ContentType != "application/vnd.microsoft.card.adaptive" ||
		m.Attachments[0].Content.Type != "AdaptiveCard" || m.Attachments[0].Content.Version == "" || len(m.Attachments[0].Content.Body) == 0 {
		http.Error(w, "not a card", http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, func(url string) (alert.Channel, error) { return teams.New(url, start) }, workflow)
}

// Names become neither links nor styles, and what matters first is there first.
func TestTheCardSaysWhatMattersFirst(t *testing.T) {
	t.Parallel()
	in := alerttest.Serve(t, workflow)
	c, err := teams.New(in.URL, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []alert.Alert{alerttest.Sample("a", start()), examples.Huge(start())} {
		if _, err := c.Send(context.Background(), a); err != nil {
			t.Fatal(err)
		}
	}
	card, huge := in.All()[0], in.All()[1]
	what, by, id := strings.Index(card, `"what"`), strings.Index(card, `"until"`), strings.LastIndex(card, `"id"`)
	if what < 0 || by < what || id < by || !strings.Contains(card, "CRITICAL Broken") || !strings.Contains(card, "1 day left") && !strings.Contains(card, "30 hours left") {
		t.Errorf("what at %d, by at %d, id at %d:\n%s", what, by, id, card)
	}
	if strings.Contains(huge, "](http") || !strings.Contains(huge, `"what"`) {
		t.Errorf("a link came through, or what is wrong did not:\n%.2000s", huge)
	}
}
