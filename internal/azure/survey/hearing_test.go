package survey_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/azure/graph"
	"cmkguard/internal/azure/survey"
	"cmkguard/internal/azureid"
	"cmkguard/internal/wiring"
)

const (
	heardSub = "11111111-1111-1111-1111-111111111111"
	atTopics = "/subscriptions/" + heardSub + "/resourceGroups/g/providers/Microsoft.EventGrid/systemTopics/"
)

// grid is Event Grid as each way to look at it shows it.
type grid struct {
	survey.Parts
	survey.Lists
	survey.Holders
	rows   map[string]azureid.Resource // of Resource Graph
	rowErr error
	topics map[string]string // name to source, by GET
	state  map[string]wiring.State
	list   wiring.Fact[[]wiring.SystemTopic]
	subs   []string // that the list shows
	more   map[string]wiring.State
	rights graph.Rights
	asked  []string
}

func (g *grid) Topics(context.Context, []string) (map[string]azureid.Resource, error) {
	return g.rows, g.rowErr
}

func (g *grid) Rights(context.Context, string) (graph.Rights, string) { return g.rights, "" }

func (g *grid) EventSubscriptions(_ context.Context, topic azureid.Resource) wiring.Fact[[]wiring.EventSubscription] {
	var out []wiring.EventSubscription
	for _, name := range g.subs {
		out = append(out, wiring.EventSubscription{ID: topic.String() + "/eventSubscriptions/" + name})
	}
	return wiring.Read(out, "list", time.Time{})
}

// byManager is the same by Resource Manager.
type byManager struct{ *grid }

func (g byManager) Topic(_ context.Context, id azureid.Resource) wiring.Fact[wiring.SystemTopic] {
	g.asked = append(g.asked, id.Name())
	source, ok := g.topics[id.Name()]
	switch {
	case g.state[id.Name()] == wiring.Unreadable:
		return wiring.Failed[wiring.SystemTopic]("get", time.Time{}, "refused")
	case !ok:
		return wiring.NotThere[wiring.SystemTopic]("get", time.Time{}, "none")
	}
	return wiring.Read(wiring.SystemTopic{ID: id, Source: source}, "get", time.Time{})
}

func (g byManager) Topics(context.Context, string) wiring.Fact[[]wiring.SystemTopic] {
	g.asked = append(g.asked, "list")
	return g.list
}

func (g byManager) EventSubscription(_ context.Context, id azureid.Resource) wiring.Fact[wiring.EventSubscription] {
	g.asked = append(g.asked, id.Name())
	state := g.more[id.Name()]
	if state == wiring.Known {
		return wiring.Read(wiring.EventSubscription{ID: id.String()}, "get", time.Time{})
	}
	if state == wiring.Unreadable {
		return wiring.Failed[wiring.EventSubscription]("get", time.Time{}, "refused")
	}
	return wiring.NotThere[wiring.EventSubscription]("get", time.Time{}, "none")
}

func (g *grid) hear(known wiring.Heard) wiring.Hearing {
	s := survey.New(survey.Sources{Around: &survey.Surroundings{Parts: g, Topics: byManager{g}, Lists: g, Holders: g}}, azureid.Public(), []string{heardSub}, func() time.Time { return time.Time{} })
	return s.Run().Hearing(context.Background(), heardSub, known)
}

func at(name string) azureid.Resource { return azureid.MustResource(atTopics + name) }

// mayRead are rights to read everything.
func mayRead(t *testing.T) graph.Rights {
	t.Helper()
	a := azuretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		azuretest.JSON(w, 200, `{"value":[{"actions":["*/read"]}]}`)
	})
	p, err := cloud.Load(a.Profile)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := p.Credential("")
	if err != nil {
		t.Fatal(err)
	}
	c, err := graph.New(p, cred)
	if err != nil {
		t.Fatal(err)
	}
	r, why := c.Rights(context.Background(), heardSub)
	if why != "" {
		t.Fatal(why)
	}
	return r
}

// A row that is there is read, what the rows lack is looked for, and only where every
// way to look has none is there none.
func TestTheTopicOfASubscription(t *testing.T) {
	t.Parallel()
	const own, other = "/subscriptions/" + heardSub, "/subscriptions/22222222-2222-2222-2222-222222222222"
	all := mayRead(t)
	list := func(names ...string) wiring.Fact[[]wiring.SystemTopic] {
		var out []wiring.SystemTopic
		for _, n := range names {
			out = append(out, wiring.SystemTopic{ID: at(n), Source: strings.ToUpper(own) + "/"})
		}
		return wiring.Read(out, "list", time.Time{})
	}
	for name, c := range map[string]struct {
		g     grid
		known string
		want  wiring.State
		found string
		asked string
	}{
		"by its row":              {grid{rows: map[string]azureid.Resource{own: at("a")}, topics: map[string]string{"a": own}}, "", wiring.Known, "a", "a"},
		"a row of what is gone":   {grid{rows: map[string]azureid.Resource{own: at("a")}, list: list("b")}, "", wiring.Known, "b", "a list"},
		"no row, where it was":    {grid{topics: map[string]string{"k": own}}, "k", wiring.Known, "k", "k"},
		"another is there now":    {grid{topics: map[string]string{"k": other}, list: list(), rights: all}, "k", wiring.Absent, "", "k list"},
		"no row, listed":          {grid{list: list("b")}, "", wiring.Known, "b", "list"},
		"nowhere":                 {grid{list: list(), rights: all}, "k", wiring.Absent, "", "k list"},
		"nowhere, rights lacking": {grid{list: list()}, "", wiring.Unreadable, "", "list"},
		"the rows failed":         {grid{rowErr: errors.New("429"), list: list(), rights: all}, "", wiring.Unreadable, "", "list"},
		"they failed, it is kept": {grid{rowErr: errors.New("429"), topics: map[string]string{"k": own}}, "k", wiring.Known, "k", "k"},
		"its read is refused":     {grid{rows: map[string]azureid.Resource{own: at("a")}, state: map[string]wiring.State{"a": wiring.Unreadable}, list: list(), rights: all}, "", wiring.Unreadable, "", "a list"},
		"the list is refused":     {grid{list: wiring.Failed[[]wiring.SystemTopic]("list", time.Time{}, "403"), rights: all}, "", wiring.Unreadable, "", "list"},
	} {
		known := wiring.Heard{}
		if c.known != "" {
			known.Topic = atTopics + c.known
		}
		h := c.g.hear(known)
		if h.Topic.State != c.want || h.TopicID().Name() != c.found || strings.Join(c.g.asked, " ") != c.asked || (h.Heard.State == wiring.NotRead) != (c.found == "") {
			t.Errorf("%s: %+v after %v", name, h.Topic, c.g.asked)
		}
	}
}

// What the list lacks and was there before is asked for by itself.
func TestEventSubscriptionsThatAListLacks(t *testing.T) {
	t.Parallel()
	const own = "/subscriptions/" + heardSub
	known := wiring.Heard{Topic: atTopics + "a", By: []string{atTopics + "a/eventSubscriptions/ONE", atTopics + "a/eventSubscriptions/two", atTopics + "b/eventSubscriptions/three", "nonsense"}}
	for state, want := range map[wiring.State]int{wiring.Known: 2, wiring.Absent: 1, wiring.Unreadable: 0} {
		g := grid{topics: map[string]string{"a": own}, subs: []string{"one"}, more: map[string]wiring.State{"two": state}}
		h := g.hear(known)
		if len(h.Heard.Value) != want || h.Heard.OK() != (want > 0) || strings.Join(g.asked, " ") != "a two" {
			t.Errorf("%v: %+v after %v", state, h.Heard, g.asked)
		}
	}
}
