// Package policy is the user's YAML policy: which clusters, what may be done by
// itself, how much at once, who is told. Every field's zero value is safe and a
// policy can only lower what the compiled ceilings allow.
//
// It decides nothing about one plan (internal/plan does).
package policy

import (
	"time"

	"cmkguard/internal/risk"
)

// Mode is what a remedy may do by itself.
type Mode string

// The modes, from the tightest.
const (
	Off     Mode = "off"     // not even planned
	DryRun  Mode = "dry-run" // planned, shown, not carried out
	Approve Mode = "approve" // held until a person approves
	Auto    Mode = "auto"    // carried out when every gate allows it
)

// Rank orders modes from 0 (off) to 3 (auto); -1 for anything else.
func (m Mode) Rank() int {
	switch m {
	case Off:
		return 0
	case DryRun:
		return 1
	case Approve:
		return 2
	case Auto:
		return 3
	}
	return -1
}

// Policy is a parsed and checked policy.
type Policy struct {
	Hash     string          // SHA-256 of the file's bytes, hex; "" for the built-in default
	File     string          // where it came from
	Pause    bool            // nothing is changed anywhere; alerts still leave
	Remedies map[string]Mode // default mode per remedy name; absent means DryRun
	Rules    []Rule          // first match per remedy wins
	Freezes  []Freeze        // times in which nothing is changed
	Limits   Limits
	Channels []Channel
	Routes   []Route
	Mutes    []Mute // times in which people are not told
	Noise    Noise
	// Heartbeat is the external watcher; nil: there is none.
	Heartbeat *Heartbeat
	// ImportedMaterial lists vault or key patterns whose material is imported
	// (BYOK): rotate is off for them.
	ImportedMaterial []string
	// ConsumersMustBeKnown holds a rotation whose consumers cannot be enumerated.
	ConsumersMustBeKnown bool
	Scope                Scope
	Owner                Owner
	Approvals            Approvals
	Drills               Drills // exercises that are run by themselves
	Exemptions           []Exemption
	// ErasableKeys lists keys whose end is to be purged (cryptographic erasure).
	ErasableKeys []string
	// GrantAtKey: restore-grant assigns the role at the key, not at the vault.
	GrantAtKey bool
	Declared   Declared // what remedies write
	// Runbooks is the base URL under which people keep what to do about each check;
	// "" leads to our own list.
	Runbooks string
	// Templates make texts of messages in place of the built-in ones.
	Templates []Template
	lines     map[string]int  // of top-level settings, by field path
	ceilings  map[string]Mode // that Parse was given; nothing answers above them
}

// Scope limits which clusters are acted on at all. Its zero value is every
// cluster that can be seen.
type Scope struct {
	Subscriptions []string // ids; empty means all
	Exclude       []string // patterns of cluster names or ARM ids
}

// Rule overrides modes for what it matches.
type Rule struct {
	Name     string
	Line     int
	Match    Match
	Remedies map[string]Mode
}

// Match selects targets; every non-empty field must match. Patterns are
// case-insensitive with * as the only wildcard.
type Match struct {
	Subscriptions  []string          // ids
	ResourceGroups []string          // patterns
	Clusters       []string          // patterns of names or ARM ids
	Keys           []string          // patterns of VAULT/NAME, e.g. "kv-orders/*"
	Tags           map[string]string // of the cluster; value patterns
}

// Limits are the policy's numbers.
type Limits struct {
	Risk             risk.Limits
	MinVersionAge    time.Duration // rotate: youngest newest version that may be rotated (7 days)
	RotationsPerDay  int           // cap over all keys, counted in consumers' keys (10)
	ConsumersPerRun  int           // cap of clusters that one rotation may touch (20)
	RotationDueGuard time.Duration // hold if Key Vault's own rotation is due this soon (7 days)
	MinBetween       time.Duration // between two actions on one key (10 minutes)
	FailuresPerDay   int           // failed or unexpected actions in 24 hours that open the breaker (3)
	ConsumersPerHour int           // cap of clusters touched in an hour (50)
	ConsumersPerDay  int           // cap of clusters touched in a day (200)
	ReconcileEvery   time.Duration // how often every key is looked at, event or no event (1 hour)
	BacklogAge       time.Duration // how long work may wait before that is told (SELF-008; 1 hour)
	KeptInput        int           // inputs that are kept for a person before that is told (SELF-003; 25)
	DeadLetters      int           // events that Event Grid gave up before that is told (SELF-002; 0)
	RampStep         time.Duration // what may start by itself doubles once per step after it was first enabled (15 minutes)
}

// Channel is one place to send alerts to.
type Channel struct {
	Name      string
	Kind      string // one of Kinds
	URL       string // webhook, eventgrid and alertmanager; a relay for pagerduty and Slack bots
	Region    string // of PagerDuty: "us" (also ""), "eu"
	Target    string // of a Slack bot: the channel's id or name; "" for an incoming webhook
	SecretRef string // name of the setting that holds the secret; never the secret
	Rate      Rate   // the most that is sent to it
	User      string // whose password the secret is: of a mail server, or before Alertmanager
	Server    string // HOST:PORT of a mail server
	TLS       string // of a mail server: "starttls" or "implicit"; "" goes by the port
	Hook      Webhook
	From      string // of mails
	To        []string
	Group     *Group // nil: each alert is a message of its own
	Line      int
}

// Rate is how much may be sent in a stretch of time; all instances share it.
type Rate struct {
	Sends int
	Per   time.Duration
}
