package azuresim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"cmkguard/internal/azureid"
)

// systemTopic is a Microsoft.EventGrid/systemTopics resource.
type systemTopic struct {
	id, source, location string
	typ                  string // topicType
	made                 time.Time
	state                string // of provisioning; "": by its age
	identities           []string
}

const (
	typeTopic   = "microsoft.eventgrid/systemtopics"
	ofVaults    = "Microsoft.KeyVault.vaults"
	gridTakes   = 10 * time.Second // how long Event Grid is Creating [I]
	gridListing = "/eventsubscriptions"
)

// serveTopic is Microsoft.EventGrid/systemTopics and their eventSubscriptions of one
// name.
func (s *Sim) serveTopic(w http.ResponseWriter, r *http.Request, c *Caller, path string) {
	lower := strings.ToLower(path)
	topic, name, below := strings.Cut(lower, gridListing+"/")
	write := r.Method == http.MethodPut && (c.Repairs || c.Owns)
	switch {
	case r.Method == http.MethodGet && !c.reads(topic), r.Method != http.MethodGet && !write, c.hidden(topic):
		armForbidden(c.ObjectID, "Microsoft.EventGrid/systemTopics/write", path).write(w)
	case below && s.topics[topic] == nil && s.documents.bodies[topic+gridListing] == nil:
		armNotFound("Microsoft.EventGrid/systemTopics", topic[strings.LastIndexByte(topic, '/')+1:], "").write(w)
	case below && r.Method == http.MethodGet:
		s.getSubscription(w, topic, name)
	case below:
		s.putSubscription(w, r, c, path, topic, name)
	case r.Method == http.MethodPut:
		s.putTopic(w, r, c, path)
	case s.topics[lower] == nil:
		armNotFound("Microsoft.EventGrid/systemTopics", path[strings.LastIndexByte(path, '/')+1:], "").write(w)
	default:
		writeJSON(w, http.StatusOK, s.topicBody(s.topics[lower]))
	}
}

func (s *Sim) state(made time.Time) string {
	if s.clock.Now().Sub(made) < gridTakes {
		return "Creating"
	}
	return "Succeeded"
}

func (s *Sim) topicBody(t *systemTopic) object {
	out := object{"id": t.id, "name": t.id[strings.LastIndexByte(t.id, '/')+1:], "type": "Microsoft.EventGrid/systemTopics", "location": t.location,
		"properties": object{"source": t.source, "topicType": t.typ, "provisioningState": cmp.Or(t.state, s.state(t.made))}}
	if len(t.identities) > 0 {
		users := object{}
		for _, id := range t.identities {
			users[id] = object{}
		}
		out["identity"] = object{"type": "UserAssigned", "userAssignedIdentities": users}
	}
	return out
}

// putTopic: one system topic per source, in the source's subscription and location
// [D: event-grid/system-topics; the message is Azure's].
func (s *Sim) putTopic(w http.ResponseWriter, r *http.Request, c *Caller, path string) {
	var b struct {
		Location   string `json:"location"`
		Properties struct {
			Source string `json:"source"`
			Type   string `json:"topicType"`
		} `json:"properties"`
		Identity struct {
			Users object `json:"userAssignedIdentities"`
		} `json:"identity"`
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid: '%s'.", err).write(w)
		return
	}
	id, err := azureid.ParseResource(path)
	source, err2 := azureid.ParseResource(b.Properties.Source)
	v := s.vaultByID(source)
	switch {
	case err != nil || err2 != nil || v == nil || v.Deleted || !strings.EqualFold(b.Properties.Type, ofVaults):
		armBadRequest("InvalidRequest", "The source '%s' does not exist.", b.Properties.Source).write(w)
		return
	case region(b.Location) != region(v.Location) || id.Subscription() != source.Subscription():
		armBadRequest("InvalidRequest", "The system topic must be in the location and the subscription of its source.").write(w)
		return
	}
	for at, t := range s.topics {
		if at != id.Key() && strings.EqualFold(t.source, b.Properties.Source) {
			armBadRequest("InvalidRequest", "There is an existing tracked system topic for the given source %s. Only one system topic is allowed per source.", t.source).write(w)
			return
		}
	}
	t := s.addTopic(id, &systemTopic{source: v.ID.String(), location: region(v.Location), typ: ofVaults, made: s.clock.Now(), identities: slices.Sorted(maps.Keys(b.Identity.Users))})
	s.emitResource("ResourceWriteSuccess", "Microsoft.EventGrid/systemTopics/write", id.String(), c.ObjectID)
	writeJSON(w, http.StatusCreated, s.topicBody(t))
}

func (s *Sim) addTopic(id azureid.Resource, t *systemTopic) *systemTopic {
	t.id = id.String()
	if s.topics == nil {
		s.topics = map[string]*systemTopic{}
	}
	s.topics[id.Key()] = t
	if s.documents.bodies[id.Key()+gridListing] == nil {
		s.setList(id.Key()+gridListing, nil)
	}
	return t
}

func (s *Sim) getSubscription(w http.ResponseWriter, topic, name string) {
	items := s.listed(topic + gridListing)
	at := byName(items, name)
	if at < 0 {
		armNotFound("Microsoft.EventGrid/systemTopics/eventSubscriptions", name, "").write(w)
		return
	}
	s.settleSubscriptions(topic, items)
	writeJSON(w, http.StatusOK, items[at])
}

// settleSubscriptions brings the states of subscriptions to the present.
func (s *Sim) settleSubscriptions(topic string, items []object) {
	for _, o := range items {
		props, _ := o["properties"].(object)
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(props["made"]))
		if err == nil && props["provisioningState"] == "Creating" {
			props["provisioningState"] = s.state(at)
		}
	}
	s.setList(topic+gridListing, items)
}

// putSubscription puts an event subscription in place as a whole.
func (s *Sim) putSubscription(w http.ResponseWriter, r *http.Request, c *Caller, path, topic, name string) {
	var b struct {
		Properties object `json:"properties"`
	}
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		armBadRequest("InvalidRequestContent", "The request content was invalid: '%s'.", err).write(w)
		return
	}
	if b.Properties["destination"] == nil && b.Properties["deliveryWithResourceIdentity"] == nil {
		armBadRequest("InvalidRequest", "The event subscription has no destination.").write(w)
		return
	}
	b.Properties["provisioningState"], b.Properties["made"] = "Creating", s.clock.Now().Format(time.RFC3339Nano)
	next := object{"id": path, "name": path[strings.LastIndexByte(path, '/')+1:], "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions", "properties": b.Properties}
	items := s.listed(topic + gridListing)
	if at := byName(items, name); at >= 0 {
		items[at] = next
	} else {
		items = append(items, next)
	}
	s.setList(topic+gridListing, items)
	s.emitResource("ResourceWriteSuccess", "Microsoft.EventGrid/systemTopics/eventSubscriptions/write", path, c.ObjectID)
	writeJSON(w, http.StatusCreated, next)
}

// SetEvents gives a vault a system topic of the name with its event subscriptions, as
// a person would; by name, with their properties. Without a name it has none.
func (s *Sim) SetEvents(host, topic string, subscriptions map[string]map[string]any) {
	s.act(func() {
		v := s.vaults[host]
		s.dropEvents(v, false)
		if topic == "" {
			return
		}
		group, _, _ := strings.Cut(v.ID.String(), "/providers/")
		id := azureid.MustResource(group + "/providers/Microsoft.EventGrid/systemTopics/" + topic)
		s.addTopic(id, &systemTopic{source: v.ID.String(), location: region(v.Location), typ: ofVaults, made: s.clock.Now().Add(-time.Hour)})
		s.subscribe(id, subscriptions)
	})
}

// subscribe puts event subscriptions at a topic, by name and with their properties.
func (s *Sim) subscribe(topic azureid.Resource, subscriptions map[string]map[string]any) {
	var items []object
	for _, name := range slices.Sorted(maps.Keys(subscriptions)) {
		items = append(items, object{"id": topic.String() + "/eventSubscriptions/" + name, "name": name, "properties": subscriptions[name]})
	}
	s.setList(topic.Key()+gridListing, items)
}

// dropEvents takes the vault's event subscriptions, and its topic unless that is kept.
func (s *Sim) dropEvents(v *Vault, keep bool) {
	for at, t := range s.topics {
		if !strings.EqualFold(t.source, v.ID.String()) {
			continue
		}
		s.setList(at+gridListing, nil)
		if !keep {
			delete(s.topics, at)
			delete(s.documents.bodies, at+gridListing)
		}
	}
}

// Events returns the event subscriptions of a vault's system topic as GET shows them.
func (s *Sim) Events(host string) (topic string, subscriptions []map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at, t := range s.topics {
		if strings.EqualFold(t.source, s.vaults[host].ID.String()) {
			items := s.listed(at + gridListing)
			s.settleSubscriptions(at, items)
			return t.id, items
		}
	}
	return "", nil
}

// topicRows are the system topics for Resource Graph.
func (s *Sim) topicRows() []kqlRow {
	var out []kqlRow
	for _, t := range s.topics {
		if !s.documents.hidden[strings.ToLower(t.id)] {
			out = append(out, graphRow(s.topicBody(t), s.o.TenantID))
		}
	}
	slices.SortFunc(out, func(a, b kqlRow) int { return strings.Compare(kqlString(a["id"]), kqlString(b["id"])) })
	return out
}
