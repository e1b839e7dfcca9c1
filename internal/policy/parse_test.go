package policy

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"cmkguard/internal/canonical"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

func ceilings() map[string]Mode {
	return map[string]Mode{"rotate": Auto, "rewire": Auto, "restore-grant": Approve, "recover-vault": Off}
}

func parse(t *testing.T, text string) *Policy {
	t.Helper()
	p, err := Parse("policy.yaml", []byte(text), ceilings())
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

// refuse returns the problems of a policy as "LINE FIELD: MESSAGE".
func refuse(t *testing.T, text string) []string {
	t.Helper()
	p, err := Parse("policy.yaml", []byte(text), ceilings())
	var problems *Problems
	if !errors.As(err, &problems) || p != nil || !fault.Is(err, fault.Invalid) {
		t.Fatalf("want *Problems that are Invalid and no policy, got %v, %v", p, err)
	}
	var out []string
	for _, one := range problems.List {
		out = append(out, fmt.Sprintf("%d %s: %s", one.Line, one.Field, one.Message))
	}
	return out
}

func example(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```yaml\n")
	text, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("docs/policy.md holds no yaml example")
	}
	return text
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestTheDocumentedExample(t *testing.T) {
	text := example(t)
	got := parse(t, text)
	day := 24 * time.Hour
	want := Default()
	want.Hash, want.File = canonical.Hash([]byte(text)), "policy.yaml"
	want.Remedies = map[string]Mode{"rotate": Auto, "rewire": Auto}
	want.ImportedMaterial = []string{"kv-byok/*"}
	sub := []string{"11111111-1111-1111-1111-111111111111"}
	want.Scope = Scope{Subscriptions: sub, Exclude: []string{"sandbox-*", "/subscriptions/*/resourceGroups/lab-*"}}
	want.Owner = Owner{Installation: "weu-prod", Subscriptions: sub, Tags: map[string]string{"region": "weu"}, Others: []string{"00000000-0000-0000-0000-000000000002"}}
	want.Rules = []Rule{
		{Name: "payments-by-hand", Match: Match{Tags: map[string]string{"team": "payments"}}, Remedies: map[string]Mode{"rotate": Approve}},
		{
			Name:     "no-touch",
			Match:    Match{Subscriptions: sub, ResourceGroups: []string{"rg-legacy-*"}, Clusters: []string{"pay-*"}, Keys: []string{"kv-orders/*"}},
			Remedies: map[string]Mode{"rotate": Off, "rewire": DryRun},
		},
	}
	berlin, newYork := zone(t, "Europe/Berlin"), zone(t, "America/New_York")
	want.Freezes = []Freeze{
		{Name: "weekend", Zone: berlin, Weekdays: []time.Weekday{time.Friday}, From: 18 * time.Hour, To: day},
		{Name: "batch-run", Zone: newYork, From: 23 * time.Hour, To: 2*time.Hour + 30*time.Minute},
	}
	want.Channels = []Channel{
		{Name: "ops", Kind: "webhook", URL: "https://ops.example.com/hooks/cmk", SecretRef: "CMKGUARD_WEBHOOK_SECRET", Rate: Rate{Sends: 50, Per: 10 * time.Second}},
		{Name: "bus", Kind: "eventgrid", URL: "https://cmk.westeurope-1.eventgrid.azure.net/api/events", Rate: Rate{Sends: 50, Per: 10 * time.Second}},
		{Name: "pager", Kind: "pagerduty", Region: "eu", SecretRef: "CMKGUARD_PAGERDUTY_KEY", Rate: Rate{Sends: 120, Per: time.Minute}},
		{Name: "chat", Kind: "slack", SecretRef: "CMKGUARD_SLACK_WEBHOOK", Rate: Rate{Sends: 10, Per: 10 * time.Second}, Group: &Group{By: []string{"vault"}, Wait: 30 * time.Second, Interval: 5 * time.Minute}},
		{Name: "team", Kind: "teams", SecretRef: "CMKGUARD_TEAMS_WORKFLOW", Rate: Rate{Sends: 30, Per: time.Minute}},
		{
			Name: "mail", Kind: "email", Server: "smtp.example.com:587", From: "cmkguard@example.com", To: []string{"oncall@example.com"},
			User: "cmkguard", SecretRef: "CMKGUARD_SMTP_PASSWORD", Rate: usualRate("email"),
		},
		{Name: "prom", Kind: "alertmanager", URL: "https://alertmanager.example.com", SecretRef: "CMKGUARD_ALERTMANAGER_TOKEN", Rate: usualRate("alertmanager")},
		{Name: "log", Kind: "console"},
	}
	want.Routes = []Route{
		{
			Match: AlertMatch{MinSeverity: risk.High}, Channels: []string{"ops", "pager"}, Fallback: []string{"chat"}, Repeat: 4 * time.Hour,
			Escalate: &Escalation{After: 15 * time.Minute, Channels: []string{"team"}},
		},
		{
			Match: AlertMatch{
				MinSeverity: risk.Medium, Families: []string{"key", "version", "rotation"}, Tags: map[string]string{"costCentre": "47*"},
				Hours: &Freeze{Zone: zone(t, "Europe/Berlin"), Weekdays: []time.Weekday{1, 2, 3, 4, 5}, From: 8 * time.Hour, To: 18 * time.Hour},
			},
			Channels: []string{"chat"},
		},
		{Match: AlertMatch{MinSeverity: risk.Info}, Channels: []string{"log", "bus"}},
	}
	want.Noise.Storm = Storm{More: 20, Within: 10 * time.Minute}
	want.Mutes = []Mute{{
		Window: Freeze{Name: "weekend-chat", Zone: berlin, Weekdays: []time.Weekday{time.Saturday, time.Sunday}, To: day},
		Match:  AlertMatch{Severities: []risk.Severity{risk.Medium, risk.Low}}, Channels: []string{"chat"},
	}}
	// The page says that the example's limits are the defaults.
	limits := risk.Defaults()
	limits.Regions, limits.EventTargets = []string{"westeurope", "northeurope"}, []string{"/sites/cmkguard/"}
	limits.BreakGlass = []string{"00000000-0000-0000-0000-000000000001"}
	want.Limits = Limits{Risk: limits, MinVersionAge: 7 * day, RotationsPerDay: 10, ConsumersPerRun: 20, RotationDueGuard: 7 * day,
		MinBetween: 10 * time.Minute, FailuresPerDay: 3, ConsumersPerHour: 50, ConsumersPerDay: 200, ReconcileEvery: time.Hour, RampStep: 15 * time.Minute,
		BacklogAge: time.Hour, KeptInput: 25}
	want.Approvals, want.ErasableKeys = Approvals{Persons: 2, ValidFor: day}, []string{"kv-tenants/*"}
	want.Drills = Drills{Every: 30 * day, Scenarios: []string{"access-lost", "channel-test", "key-deleted", "near-expiry", "stranger-write"}}
	want.Heartbeat = &Heartbeat{SecretRef: "CMKGUARD_HEARTBEAT_URL", Every: 5 * time.Minute}
	want.Runbooks = "https://wiki.example.com/cmk#"
	const rg = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/rg-guard/providers/"
	want.Declared = Declared{
		Rotation: Rotation{RotateAfter: "P365D", ExpiryTime: "P2Y", NotifyBefore: "P30D"},
		Diagnostics: Diagnostics{Name: "cmkguard-audit", Workspace: rg + "Microsoft.OperationalInsights/workspaces/log-guard",
			HubRule: rg + "Microsoft.EventHub/namespaces/eh-guard/authorizationRules/send", Hub: "vault-logs"},
		Events: Events{Topic: "cmkguard-{vault}", Name: "cmkguard", Function: rg + "Microsoft.Web/sites/cmkguard/functions/keyvaultevents",
			Identity: rg + "Microsoft.ManagedIdentity/userAssignedIdentities/id-cmkguard-delivery", DeadStore: rg + "Microsoft.Storage/storageAccounts/stguard", DeadBox: "cmkguard-deadletter"},
		Resources:      ResourceEvents{Function: rg + "Microsoft.Web/sites/cmkguard/functions/resourceevents", Subscriptions: sub},
		AccessPolicies: true,
	}
	want.Limits.Risk.AuditTargets = want.Declared.Diagnostics.Destinations()
	want.Exemptions = []Exemption{{
		Name: "migration", Match: Match{Keys: []string{"kv-old/*"}}, Remedies: []string{"rotate"}, Owner: "team-orders",
		Reason: "moves to kv-orders in March", Ticket: "OPS-4711", Expires: time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC),
	}}
	opts := cmp.Options{
		cmpopts.IgnoreUnexported(Policy{}), cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() }), cmpopts.IgnoreFields(Rule{}, "Line"), cmpopts.IgnoreFields(Exemption{}, "Line"),
		cmpopts.IgnoreFields(Channel{}, "Line"), cmpopts.IgnoreFields(Route{}, "Line"), cmpopts.IgnoreFields(Mute{}, "Line"), cmpopts.IgnoreFields(Heartbeat{}, "Line"),
	}
	if diff := cmp.Diff(want, got, opts); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
	lines := strings.Split(text, "\n")
	for _, r := range got.Rules {
		if !strings.Contains(lines[r.Line-1], r.Name) {
			t.Errorf("rule %s: line %d is %q", r.Name, r.Line, lines[r.Line-1])
		}
	}
	for _, c := range got.Channels {
		if !strings.Contains(lines[c.Line-1], "name: "+c.Name) {
			t.Errorf("channel %s: line %d is %q", c.Name, c.Line, lines[c.Line-1])
		}
	}
}

func TestTheSmallestPolicyIsTheDefault(t *testing.T) {
	opts := cmp.Options{cmpopts.IgnoreUnexported(Policy{}), cmpopts.IgnoreFields(Policy{}, "Hash", "File")}
	if diff := cmp.Diff(Default(), parse(t, "version: 1\n"), opts); diff != "" {
		t.Errorf("(-default +parsed):\n%s", diff)
	}
}

func TestLimitsAreRead(t *testing.T) {
	got := parse(t, "version: 1\nlimits: {expiryWarning: 45d, minVersionAge: 90m, rotationsPerDay: 0, consumersPerRun: 3, adoptionWait: 1d12h, rotationDueGuard: 2h, backlogAge: 3h, keptInput: 2, deadLetters: 5}\n").Limits
	want := Limits{
		Risk: risk.Defaults(), MinVersionAge: 90 * time.Minute, RotationsPerDay: 0, ConsumersPerRun: 3, RotationDueGuard: 2 * time.Hour,
		MinBetween: 10 * time.Minute, FailuresPerDay: 3, ConsumersPerHour: 50, ConsumersPerDay: 200, ReconcileEvery: time.Hour, RampStep: 15 * time.Minute,
		BacklogAge: 3 * time.Hour, KeptInput: 2, DeadLetters: 5,
	}
	want.Risk.ExpiryWarning, want.Risk.AdoptionWait = 45*24*time.Hour, 36*time.Hour
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryProblemAtOnceWithItsLine(t *testing.T) {
	got := refuse(t, `version: 2
pause: yes please
remedys: {}
remedies:
  rotate: always
  restore-grant: auto
  fix-all: auto
limits:
  expiryWarning: 30
  minVersionAge: soon
  rotationsPerDay: -1
rules:
  - name: a
    match: {}
    remedies: {rotate: approve}
  - match: {keys: ["https://kv.vault.azure.net/keys/a"], tags: {team: []}}
    remedies: {rewire: auto}
channels:
  - {name: ops, kind: webhook, url: "https://x.example", secret: whsec_c2VjcmV0}
  - {name: ops, kind: smoke}
alerts:
  - {minSeverity: urgent, channels: [ops, pager]}
`)
	want := []string{
		`1 version: is not 1`, `2 pause: is a string: want true or false`, `3 remedys: is unknown: want one of alerts, `,
		`5 remedies.rotate: "always" is no mode: want off, dry-run, approve or auto`,
		`6 remedies.restore-grant: auto is above the ceiling of this remedy, which is compiled in: want approve or tighter`,
		`7 remedies.fix-all: is no remedy: want one of recover-vault, restore-grant, rewire, rotate`,
		`9 limits.expiryWarning: is a number: want a duration`, `10 limits.minVersionAge: "soon" is no duration: want a duration`,
		`11 limits.rotationsPerDay: is a number: want a whole number from 0 to 1000`, `14 rules[0].match: is empty`,
		`16 rules[1].match.keys[0]: "https://kv.vault.azure.net/keys/a" is no key pattern`,
		`16 rules[1].match.tags.team: is a list: want a string`, `16 rules[1]: has no name`,
		`19 channels[0].secret: holds a secret: want secretRef`, `20 channels[1]: kind "smoke" is unknown`,
		`20 channels[1]: name "ops" is used twice, first on line 19`, `22 alerts[0].minSeverity: "urgent" is no severity`,
		`22 alerts[0]: channel "pager" is unknown: want one of ops`,
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing: %s", want[i])
		case i >= len(want):
			t.Errorf("not wanted: %s", got[i])
		case !strings.HasPrefix(got[i], want[i]):
			t.Errorf("problem %d:\n got %s\nwant %s", i, got[i], want[i])
		}
	}
	if text := strings.Join(got, "\n"); strings.Contains(text, "c2VjcmV0") {
		t.Errorf("a message repeats the secret:\n%s", text)
	}
}

func TestProblemsReadLikeACompiler(t *testing.T) {
	_, err := Parse("conf/policy.yaml", []byte("version: 1\nremedies:\n  rotate: always\npause: 3\n"), ceilings())
	want := "conf/policy.yaml:3: remedies.rotate: \"always\" is no mode: want off, dry-run, approve or auto\n" +
		"conf/policy.yaml:4: pause: is a number: want true or false"
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
