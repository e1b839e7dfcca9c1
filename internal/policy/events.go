package policy

import (
	"strings"

	"cmkguard/internal/azureid"
)

// Events is the Event Grid subscription that recreate-event-subscription gives back
// to a vault: by which names, and to what. Function or Queue is set, not both.
type Events struct {
	Topic     string // of the system topic, in the vault's own resource group; {vault} stands for the vault's name
	Name      string
	Function  string // ARM id of a function
	Account   string // ARM id of the storage account of a queue
	Queue     string
	Identity  string // ARM id of the user-assigned identity that delivers; "" for a function alone
	DeadStore string // ARM id of the storage account of the dead letters
	DeadBox   string // its container
}

// Set reports whether the file has one.
func (e Events) Set() bool { return e.Name != "" }

// TopicOf is the system topic of the vault; zero where none is declared.
func (e Events) TopicOf(vault azureid.Resource) azureid.Resource {
	if !e.Set() || vault.IsZero() {
		return azureid.Resource{}
	}
	group := "/subscriptions/" + vault.Subscription() + "/resourceGroups/" + vault.ResourceGroup()
	id, err := azureid.ParseResource(group + "/providers/Microsoft.EventGrid/systemTopics/" + e.TopicName(vault.Name()))
	if err != nil {
		return azureid.Resource{} // unreachable: the reader takes only names
	}
	return id
}

const vaultMark = "{vault}"

// TopicName is the name of the vault's topic.
func (e Events) TopicName(vault string) string { return strings.ReplaceAll(e.Topic, vaultMark, vault) }

func (r reader) eventSubscription(n node) {
	e := &r.policy.Declared.Events
	found := n.fields(map[string]func(node){
		"topic":    func(n node) { e.Topic = n.topic() },
		"name":     func(n node) { e.Name = n.name() },
		"function": func(n node) { e.Function = n.resource("Microsoft.Web/sites/functions") },
		"queue": func(n node) {
			e.Account, e.Queue = n.box("name", "the queue's")
		},
		"identity": func(n node) { e.Identity = n.resource("Microsoft.ManagedIdentity/userAssignedIdentities") },
		"deadLetter": func(n node) {
			e.DeadStore, e.DeadBox = n.box("container", "the container's")
		},
	})
	n.require(found, "topic", "topic: cmkguard-{vault}, say: the system topic's name")
	n.require(found, "name", "name: TEXT, the event subscription's")
	switch {
	case found != nil && found["function"] == found["queue"]:
		n.problem("leads nowhere, or to two places: want function or queue")
	case !found["identity"] && (found["queue"] || found["deadLetter"]):
		n.problem("has no identity: queues and dead letters are delivered by a user-assigned identity")
	}
}

// box reads a storage account and the name of something in it.
func (n node) box(name, whose string) (id, inside string) {
	found := n.fields(map[string]func(node){
		"account": func(n node) { id = n.resource("Microsoft.Storage/storageAccounts") },
		name:      func(n node) { inside = n.name() },
	})
	n.require(found, "account", "account: the storage account's ARM id")
	n.require(found, name, name+": TEXT, "+whose)
	return id, inside
}

// topic returns a name in which {vault} may stand.
func (n node) topic() string {
	s := n.text()
	plain := strings.ReplaceAll(s, vaultMark, "v")
	switch {
	case s == "":
	case !strings.Contains(s, vaultMark):
		n.problem("%q is the same for every vault: want {vault} in it, because each vault has a topic of its own", clip(s))
	case !resourceName.MatchString(plain):
		n.problem("%q is no name: want letters, digits, - and {vault} only", clip(s))
	default:
		return s
	}
	return ""
}

// derive sets what follows from what is declared: an audit log and events that go
// anywhere else than there do not reach us.
func (p *Policy) derive() {
	l, d := &p.Limits.Risk, p.Declared
	l.AuditTargets = d.Diagnostics.Destinations()
	if len(l.EventTargets) == 0 {
		l.EventTargets = nonEmpty(d.Events.Function, d.Events.Account)
	}
}
