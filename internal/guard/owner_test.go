package guard_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/azuresim"
	"cmkguard/internal/guard"
	"cmkguard/internal/policy"
)

const theirs = "88888888-8888-8888-8888-888888888888" // another installation's remediator

// owned is a world in which a rotation is due, and whose policy declares an owner.
func owned(t *testing.T, o policy.Owner) *world {
	t.Helper()
	w := newWorld(t, setup{kind: "v1", created: year, mode: policy.Auto})
	w.g.Policy.Owner = o
	w.g.Watch = guard.Watch{Beats: true, Remediator: &principal{id: ours}}
	return w
}

func (w *world) ownerTag(where, value string) {
	tags := map[string]string{"CMKGuard-Owner": value}
	if value == "" {
		tags = nil
	}
	switch where {
	case "cluster":
		w.sim.ChangeCluster(w.cluster, func(c *azuresim.Cluster) { c.Tags = tags })
	case "vault":
		w.sim.ChangeVault(host, func(v *azuresim.Vault) { v.Tags = tags })
	default:
		w.tagKey(tags)
	}
}

// What another installation owns, by the policy or by a tag, is looked at and not
// touched; a tag that names us releases nothing and holds nothing.
func TestTheNonOwnerOnlyObserves(t *testing.T) {
	t.Parallel()
	elsewhere := policy.Owner{Installation: "weu", Subscriptions: []string{"22222222-2222-2222-2222-222222222222"}}
	for name, c := range map[string]struct {
		owner policy.Owner
		tag   string // where
		value string
		held  string // "": it runs
	}{
		"nothing is declared":             {policy.Owner{}, "", "", ""},
		"ours":                            {policy.Owner{Installation: "weu"}, "", "", ""},
		"ours, and the tag says so":       {policy.Owner{Installation: "weu"}, "cluster", "WEU", ""},
		"another subscription is ours":    {elsewhere, "", "", "is another installation's to act on, weu observes"},
		"and a tag that names us":         {elsewhere, "cluster", "weu", "is another installation's to act on"},
		"a tag on the cluster":            {policy.Owner{Installation: "weu"}, "cluster", "neu", `cluster cache-a names "neu", this installation is weu`},
		"a tag on the vault":              {policy.Owner{Installation: "weu"}, "vault", "neu", `vault kv-a names "neu"`},
		"a tag on the key":                {policy.Owner{Installation: "weu"}, "key", "neu", `key kek names "neu"`},
		"a tag, and we have no name":      {policy.Owner{}, "vault", "neu", "this installation has no name"},
		"an empty tag names nobody of us": {policy.Owner{Installation: "weu"}, "cluster", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := owned(t, c.owner)
			if c.tag != "" && c.value != "" {
				w.ownerTag(c.tag, c.value)
			}
			w.take(w.sim.NearExpiry(w.key, "e1"))
			w.run(3)
			if c.held == "" {
				if w.rotates() != 1 || !w.onNewest() {
					t.Fatalf("%d rotations", w.rotates())
				}
				return
			}
			if w.writes() != 0 || !w.told.has("CMK-013", c.held) {
				t.Fatalf("%d writes; told: %s", w.writes(), w.told.first(t, "CMK-013").Done)
			}
		})
	}
}

// A tag that comes while a rotation is under way holds what has not begun.
func TestATagThatNamesAnotherIsAnIncident(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"cluster", "vault", "key"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			w := owned(t, policy.Owner{Installation: "weu"})
			w.g.Policy.Remedies, w.g.Reconcile = nil, time.Hour
			w.hours(1)
			w.want("ours", "SELF-009", 0, 0)
			w.ownerTag(where, "neu")
			w.hours(2)
			w.want("tagged", "SELF-009", 1, 0)
			if a := w.told.first(t, "SELF-009"); !strings.Contains(a.What, `names "neu"`) || !strings.Contains(a.Subject, "cache-a") {
				t.Fatalf("%s: %s", a.Subject, a.What)
			}
			w.refuse(422, http.MethodGet, vaultID) // and its tags
			w.ownerTag(where, "")
			w.hours(1)
			w.want("the vault cannot be read", "SELF-009", 1, 0)
			w.sim.ClearFaults()
			w.hours(1)
			w.want("settled", "SELF-009", 1, 1)
			w.g.Policy.Owner = policy.Owner{}
			w.ownerTag(where, "neu")
			w.hours(1)
			w.want("nothing is declared", "SELF-009", 1, 1)
		})
	}
}

func TestAnotherRemediatorIsAnIncident(t *testing.T) {
	t.Parallel()
	w := owned(t, policy.Owner{Installation: "weu"})
	w.g.Policy.Remedies, w.g.Reconcile = nil, time.Hour
	w.sim.AddRole(azuresim.RoleDefinition{ID: ourRole, Name: "CMK Guard Remediator (abc)", Actions: []string{"Microsoft.Cache/redisEnterprise/write"}})
	w.sim.Assign(groupOnly, ourRole, ours)
	w.hours(1)
	w.want("ours alone", "SELF-009", 0, 0)
	w.sim.Assign(groupOnly, ourRole, theirs)
	w.hours(2)
	w.want("another's", "SELF-009", 1, 0)
	if !w.told.has("SELF-009", "principal "+theirs+` holds "CMK Guard Remediator (abc)" at `+strings.ToLower(groupOnly)) {
		t.Fatal(w.told.first(t, "SELF-009").What)
	}
	w.refuse(422, http.MethodPost, "/providers/Microsoft.ResourceGraph/resources")
	w.hours(1)
	w.want("nobody can tell", "SELF-009", 1, 0)
	w.sim.ClearFaults()
	w.g.Policy.Owner.Others = []string{strings.ToUpper(theirs)}
	w.hours(1)
	w.want("named in the policy", "SELF-009", 1, 1)
	w.g.Policy.Owner.Others = nil
	w.sim.Unassign(theirs)
	w.hours(1)
	w.want("taken away", "SELF-009", 1, 1)
	w.g.Policy.Owner = policy.Owner{}
	w.sim.Assign(groupOnly, ourRole, theirs)
	w.hours(1)
	w.want("nothing is declared", "SELF-009", 1, 1)
}

// writtenBy is the event of a cluster that somebody wrote.
func (w *world) writtenBy(who string) json.RawMessage {
	var e map[string]any
	must(w.t, json.Unmarshal(w.sim.ResourceDeleted("Microsoft.Cache/redisEnterprise/write", w.cluster.String()), &e))
	e["eventType"] = "Microsoft.Resources.ResourceWriteSuccess"
	e["data"].(map[string]any)["claims"] = map[string]any{"http://schemas.microsoft.com/identity/claims/objectidentifier": strings.ToUpper(who)}
	raw, err := json.Marshal(e)
	must(w.t, err)
	return raw
}

// A write that an event says another installation's remediator did to what is ours is
// told, and says that it is a claim; it moves nothing. Ours, anybody else's, that of one
// whom the policy names, and what is not ours to act on is not.
func TestAnotherInstallationsActIsTold(t *testing.T) {
	t.Parallel()
	const stranger = "77777777-7777-7777-7777-777777777777"
	const title = "Another CMK Guard acted on what is ours: "
	for name, c := range map[string]struct {
		by    string
		owner policy.Owner
		told  bool
	}{
		"another's":                {theirs, policy.Owner{Installation: "weu"}, true},
		"ours":                     {ours, policy.Owner{Installation: "weu"}, false},
		"somebody's":               {stranger, policy.Owner{Installation: "weu"}, false},
		"named in the policy":      {theirs, policy.Owner{Installation: "weu", Others: []string{strings.ToUpper(theirs)}}, false},
		"what is not ours":         {theirs, policy.Owner{Installation: "weu", Subscriptions: []string{"22222222-2222-2222-2222-222222222222"}}, false},
		"where nobody is declared": {theirs, policy.Owner{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := owned(t, policy.Owner{Installation: "weu"})
			w.g.Policy.Remedies, w.g.Reconcile = nil, time.Hour
			w.sim.AddRole(azuresim.RoleDefinition{ID: ourRole, Name: "CMK Guard Remediator (abc)", Actions: []string{"Microsoft.Cache/redisEnterprise/write"}})
			w.sim.Assign(groupOnly, ourRole, ours)
			w.sim.Assign(groupOnly, ourRole, theirs)
			w.take(w.writtenBy(c.by))
			w.run(1)
			if w.told.has("", title) {
				t.Fatal("told before anybody could know who that is")
			}
			w.hours(1)
			w.g.Policy.Owner = c.owner
			w.take(w.sim.ResourceDeleted("Microsoft.Cache/redisEnterprise/databases/write", w.cluster.String()+"/databases/default"))
			first := w.writtenBy(c.by)
			w.sim.Clock().Advance(time.Minute)
			w.take(first)
			w.run(1)
			if got := w.told.has("", title+"cache-a"); got != c.told {
				t.Fatalf("told: %t", got)
			}
			if w.told.has("", title) && !w.told.has("", "(claimed by ") {
				t.Fatal("it is not said to be a claim")
			}
			if n := w.told.opened("SELF-009"); w.writes() != 0 || c.told && n != 1 {
				t.Fatalf("%d writes, SELF-009 told %d times", w.writes(), n)
			}
		})
	}
}

// A look that another signal led to has not told who did it.
func TestAnActIsToldThoughALookAnsweredIt(t *testing.T) {
	t.Parallel()
	w := owned(t, policy.Owner{Installation: "weu"})
	w.g.Policy.Remedies, w.g.Reconcile = nil, time.Hour
	w.sim.AddRole(azuresim.RoleDefinition{ID: ourRole, Name: "CMK Guard Remediator (abc)", Actions: []string{"Microsoft.Cache/redisEnterprise/write"}})
	w.sim.Assign(groupOnly, ourRole, theirs)
	w.hours(1)
	w.take(w.writtenBy(theirs)) // waits in the queue
	ms, err := w.b.Queue.Take(ctx, guard.WorkQueue, 16, time.Minute)
	must(t, err)
	w.sim.Clock().Advance(10 * time.Second)
	w.take(w.sim.ResourceDeleted("Microsoft.Cache/redisEnterprise/write", w.cluster.String()))
	w.work()
	w.sim.Clock().Advance(10 * time.Second)
	for _, m := range ms {
		must(t, w.g.Work(ctx, m.Body))
	}
	must(t, w.g.Tend(ctx))
	if !w.told.has("", "Another CMK Guard acted on what is ours") {
		t.Fatal("it was answered by a look that knew nothing of it")
	}
	a := w.told.titled(t, "Another CMK Guard acted")
	if len(a.Evidence) != 1 || !strings.Contains(a.Evidence[0], `holds "CMK Guard Remediator (abc)" at `) || a.Lifecycle != "notice" {
		t.Fatalf("%s %v", a.Lifecycle, a.Evidence)
	}
}
