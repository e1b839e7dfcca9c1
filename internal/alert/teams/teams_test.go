package teams_test

import (
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
	"cmkguard/internal/alert/examples"
	"cmkguard/internal/alert/teams"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

func TestConformance(t *testing.T) {
	t.Parallel()
	alerttest.Conform(t, alerttest.Kit{
		Open: func(url string) (alert.Channel, error) { return teams.New(url+"/workflows/x?sig=SIGNATURE", start) },
		Fake: alerttest.Teams(), Seen: alerttest.SeenInTeams, Colour: alerttest.TeamsColour, Secrets: []string{"SIGNATURE"},
	})
}

func render(t *testing.T, a alert.Alert) string {
	t.Helper()
	c, err := teams.New("https://prod-1.westeurope.logic.azure.com/workflows/x", start)
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Render(a)
	if err != nil {
		t.Fatal(err)
	}
	return string(r.Body)
}

// Names become neither links nor styles; what matters is there first, and stays when
// a card is full.
func TestTheCardSaysWhatMattersFirst(t *testing.T) {
	t.Parallel()
	e, _ := examples.Find("key-deleted", start())
	card := render(t, e.Alert)
	last := -1
	for _, want := range []string{"CRITICAL Key deleted", `"attention"`, "**breaks**", "**until**", `"what"`, `"hits"`, `"next"`, "cmkguard approve recover-key", "**id**", `"Action.OpenUrl"`} {
		at := strings.Index(card, want)
		if at < last {
			t.Errorf("%s stands at %d, before what comes first:\n%s", want, at, card)
		}
		last = at
	}
	huge, _, _ := strings.Cut(render(t, examples.Huge(start())), `"actions"`) // whose titles are no Markdown
	if strings.Contains(huge, "](http") || !strings.Contains(huge, `"what"`) || !strings.Contains(huge, "**until**") || !strings.Contains(huge, "had no room here") {
		t.Errorf("a link came through, or what is wrong did not:\n%.2000s", huge)
	}
}
