// Package alert tells people: it routes an alert to channels, keeps one
// notification per channel in an outbox that is written together with the
// incident, delivers each at least once and records a receipt.
//
// It does not decide what deserves an alert (internal/guard does) and knows no
// channel's protocol (alert/<channel> does).
package alert

import (
	"context"
	"time"

	"cmkguard/internal/risk"
)

// KeyPrefix stands before what is ours in a DedupKey. What follows it names the
// incident to people: CHECK/PARTITION.
const KeyPrefix = "cmkguard/"

// Lifecycle is where in its life the alerted problem is.
type Lifecycle string

// The lifecycle states.
const (
	Trigger Lifecycle = "trigger" // a problem opened
	Update  Lifecycle = "update"  // it changed
	Resolve Lifecycle = "resolve" // it was read back as fixed
	Notice  Lifecycle = "notice"  // something happened that is no problem: a rotation done
	// Acknowledge: somebody works on it; it is still open.
	Acknowledge Lifecycle = "acknowledge"
)

// Alert is one message about one incident. Text fields may hold names that
// came from events: channels escape them.
type Alert struct {
	ID        string        `json:"id"`       // unique per message
	DedupKey  string        `json:"dedupKey"` // stable per incident: same for trigger, update, resolve; at most 255 bytes
	GroupKey  string        `json:"groupKey"` // what may be sent together: the vault or the key
	Lifecycle Lifecycle     `json:"lifecycle"`
	Severity  risk.Severity `json:"severity"`
	Check     string        `json:"check,omitempty"`
	Title     string        `json:"title"`            // one line: what and where
	What      string        `json:"what"`             // what is wrong
	Subject   string        `json:"subject"`          // event.Subject.String
	At        time.Time     `json:"at,omitzero"`      // when the alert was made; Notifications and Direct set it where it is zero
	Since     time.Time     `json:"since"`            // when the problem began
	Impact    []Impact      `json:"impact,omitempty"` // clusters that break
	// MoreImpact counts clusters beyond the list: Notifications bounds it.
	MoreImpact int        `json:"moreImpact,omitempty"`
	Breaks     string     `json:"breaks,omitempty"`
	By         *time.Time `json:"by,omitempty"`
	// ByMeans is what By is, as half a sentence: "it can be recovered until then".
	ByMeans string   `json:"byMeans,omitempty"`
	Done    []string `json:"done,omitempty"` // what we did or hold, with the reason
	Next    []string `json:"next,omitempty"` // what a person does, in words
	// Commands are what a person can paste to do it, with the real names: the safest
	// first.
	Commands []Command `json:"commands,omitempty"`
	Ref      string    `json:"ref"` // correlation id: signal or plan
	Evidence []string  `json:"evidence,omitempty"`
	// Vault is the name of the vault that it hangs on, lower case; "" for none. Alerts
	// are routed, grouped and inhibited by it.
	Vault string `json:"vault,omitempty"`
	// Upstream are the partitions of what its subject hangs on: the cluster, the key,
	// the vault. While something is broken there from which it follows, it is held.
	Upstream []string `json:"upstream,omitempty"`
	// Settles is when an incident that comes and goes has been quiet for long enough to
	// be told how it stands; nil for any other.
	Settles *time.Time `json:"settles,omitempty"`
	// Actor is who is said to have done it, with the source of that claim; "" if
	// nobody says.
	Actor    string   `json:"actor,omitempty"`
	Controls []string `json:"controls,omitempty"` // numbers in frameworks, as vendors map them: "PCI DSS 4.0.1: 3.7.4"
	Runbook  string   `json:"runbook,omitempty"`  // path or URL of what to do about the check
	Links    []Link   `json:"links,omitempty"`    // pages that show, and never act
	// Event is the CloudEvents type that the alert is published as beside itself,
	// for others who want the event that Azure lacks ("CmkGuard.KeyDeleted"); Key is
	// the key that it is about. Channels for people leave both out.
	Event string `json:"event,omitempty"`
	Key   string `json:"key,omitempty"`
	// Notes are what its way to people adds: that no route takes it, that it stands in
	// for a channel that cannot be reached, that it was held back and for how long.
	Notes []string `json:"notes,omitempty"`
	// Members are the alerts that a message about several stands for, the worst first;
	// MoreMembers counts those beyond the list.
	Members     []Member `json:"members,omitempty"`
	MoreMembers int      `json:"moreMembers,omitempty"`
	// Banners.
	DryRun     bool `json:"dryRun,omitempty"`
	Drill      bool `json:"drill,omitempty"`
	Unrecorded bool `json:"unrecorded,omitempty"` // storage refused the record; it will follow
	Test       bool `json:"test,omitempty"`       // `cmkguard alert test`: nothing happened
}

// Command is one line for a shell, which runs as it stands. It is never cut: one
// that is too long is left out.
type Command struct {
	Does string `json:"does"` // what it does, as half a sentence: "gives the key back"
	Line string `json:"line"`
}

// Member is one of the alerts that a message about several stands for.
type Member struct {
	ID        string        `json:"id"` // the alert's
	DedupKey  string        `json:"dedupKey"`
	Lifecycle Lifecycle     `json:"lifecycle"`
	Severity  risk.Severity `json:"severity"`
	Title     string        `json:"title"`
	Subject   string        `json:"subject"`
}

// Impact is one cluster that is hit.
type Impact struct {
	Cluster string            `json:"cluster"` // ARM id
	Name    string            `json:"name"`
	Owner   string            `json:"owner,omitempty"` // from the owner tag
	Tags    map[string]string `json:"tags,omitempty"`  // of the cluster: alerts are routed by them
}

// Link is a page that shows more. Mail and chat scanners follow links: none of
// them acts.
type Link struct {
	Label string `json:"label"` // "approve", "acknowledge", "silence"
	URL   string `json:"url"`
}

// NotificationState is where a delivery stands.
type NotificationState string

// The states of a delivery.
const (
	Pending NotificationState = "pending"
	Sent    NotificationState = "sent"
	Poison  NotificationState = "poison"  // given up; can be replayed
	Folded  NotificationState = "folded"  // a message that was sent stands for it: Into
	Dropped NotificationState = "dropped" // it healed while it was held, and nobody was told of any of it
)

// Target is a channel that an alert goes to, and how (internal/alert/route).
type Target struct {
	Channel  string
	Fallback []string // told in its place while it cannot be reached
	Why      string   // what chose it
}

// Notification is one delivery of an alert to one channel: the outbox row. Rows
// written before a field existed lack it, and mean its zero value.
type Notification struct {
	Schema     int               `json:"schema"`
	ID         string            `json:"id"` // alert id + channel
	Alert      Alert             `json:"alert"`
	Channel    string            `json:"channel"`
	State      NotificationState `json:"state"`
	Attempt    int               `json:"attempt"`
	NextAt     time.Time         `json:"nextAt"`
	SentAt     *time.Time        `json:"sentAt,omitempty"`
	ProviderID string            `json:"providerId,omitempty"`
	LastError  string            `json:"lastError,omitempty"`
	// TriedAt is when it was first tried in vain: it is given up a day after, and a
	// week after where people have to mend the credentials.
	TriedAt *time.Time `json:"triedAt,omitempty"`
	Class   Class      `json:"class,omitempty"` // of the last failure
	Why     string     `json:"why,omitempty"`   // what chose the channel
	// Fallback are the channels that stand in while this one cannot be reached, StoodIn
	// those that did. StandsInFor is the channel in whose place this delivery is.
	Fallback    []string `json:"fallback,omitempty"`
	StoodIn     []string `json:"stoodIn,omitempty"`
	StandsInFor string   `json:"standsInFor,omitempty"`
	// Held is what keeps a delivery back; of one that was sent, what did. Yields: it
	// gives way to a later message of its incident.
	Held   *Held      `json:"held,omitempty"`
	Yields bool       `json:"yields,omitempty"`
	Into   string     `json:"into,omitempty"`   // id of the message that stands for it
	OverAt *time.Time `json:"overAt,omitempty"` // when it was folded or dropped
	// Gathered says with what it waits, or waited, to be told together.
	Gathered *Gathered `json:"gathered,omitempty"`
	// Stands is how many deliveries a digest stands for, 0 for any other alert; InStorm:
	// it tells of a storm.
	Stands  int  `json:"stands,omitempty"`
	InStorm bool `json:"inStorm,omitempty"`
}

// Channel delivers one alert. Send returns the provider's id for it. Errors are
// classified (internal/fault): Invalid is given up at once; the rest is tried
// again, Denied for a week and Transient (with CodeRate where the receiver
// throttles) and Unknown for a day. It must be safe to send the same alert twice: the
// alert's ID is the provider's idempotency key where there is one.
type Channel interface {
	Send(ctx context.Context, a Alert) (providerID string, err error)
}
