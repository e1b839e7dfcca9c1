package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cmkguard/internal/azuresim"
)

// write puts a file into a fresh folder.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const nightPolicy = `version: 1
channels:
  - {name: pager, kind: pagerduty, secretRef: P}
  - {name: log, kind: console}
alerts:
  - {match: {minSeverity: high, tags: {owner: "team-*"}, hours: {zone: Europe/Berlin, from: "20:00", to: "08:00"}}, channels: [pager]}
  - {minSeverity: medium, channels: [log]}
`

func TestAlertRouteExplainsAFile(t *testing.T) {
	t.Parallel()
	pol := write(t, "policy.yaml", nightPolicy)
	file := write(t, "alert.json", `{"id": "a", "lifecycle": "trigger", "severity": "high", "check": "CMK-050", "title": "Broken", "subject": "cluster:/subscriptions/s/x/pay",
		"impact": [{"cluster": "/subscriptions/s/x/pay", "tags": {"owner": "team-pay"}}]}`)
	for at, want := range map[string][]string{
		"2026-09-21T22:00:00+02:00": {"policy.yaml:6 -> pager\n  takes it", "goes to pager: policy.yaml:6", "goes to log: policy.yaml:7"},
		"2026-09-21T12:00:00+02:00": {"policy.yaml:6 -> pager\n  does not: Mon 12:00 CEST is outside of its hours", "goes to log: policy.yaml:7"},
	} {
		out, code := run(t, nil, "alert", "route", file, "--policy", pol, "--at", at)
		for _, w := range want {
			if code != 0 || !strings.Contains(out, w) {
				t.Errorf("%s: exit %d, want %q in\n%s", at, code, w, out)
			}
		}
	}
	if out, code := run(t, nil, "alert", "route", "key-deleted", "--policy", pol, "--at", "2026-09-21T12:00:00+02:00"); code != 0 || !strings.Contains(out, "CMK-010") || !strings.Contains(out, "goes to log") {
		t.Errorf("exit %d\n%s", code, out)
	}
	for name, args := range map[string][]string{
		"is neither an incident, an example nor a file": {"alert", "route", "nothing"},
		"is no alert as JSON":                           {"alert", "route", pol},
		`--at "noon": want`:                             {"alert", "route", file, "--at", "noon"},
	} {
		if out, code := run(t, nil, args...); code != 2 || !strings.Contains(out, name) {
			t.Errorf("%v: exit %d\n%s", args, code, out)
		}
	}
}

// What is told with others says so, and what is critical does not wait.
func TestAlertRouteSaysWhatIsToldTogether(t *testing.T) {
	t.Parallel()
	pol := write(t, "policy.yaml", "version: 1\nchannels:\n- {name: chat, kind: slack, secretRef: KEY, group: {by: [vault]}}\n- {name: log, kind: console}\n")
	const waits, storm = "  with others of vault kv-shop: 30s after the first, and then every 5m0s\n", "  as part of a storm: beyond 20 messages within 10m0s\n"
	if out, code := run(t, nil, "alert", "route", "near-expiry", "--policy", pol); code != 0 || !strings.Contains(out, waits+storm) || strings.Count(out, storm) != 1 {
		t.Errorf("exit %d\n%s", code, out)
	}
	if out, code := run(t, nil, "alert", "route", "key-deleted", "--policy", pol); code != 0 || strings.Contains(out, waits) || strings.Count(out, storm) != 1 {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// A real incident is found by the name that its alert shows.
func TestAlertRouteExplainsAnIncident(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	sim.ChangeVersion(key, func(v *azuresim.Version) { v.Expires = nil })
	url, out, _ := serve(t, env)
	sim.Unassign("22222222-2222-2222-2222-222222222201")
	post(t, url, sim.AccessPolicyChanged(key.Host, "e1"))
	name := ""
	eventually(t, out, "an alert of the lost access", func() bool {
		if m := regexp.MustCompile(`incident: (CMK-050/cluster~[0-9a-f]{40})`).FindStringSubmatch(out.String()); m != nil {
			name = m[1]
		}
		return name != ""
	})
	pol := write(t, "policy.yaml", strings.Replace(nightPolicy, "minSeverity: medium", "minSeverity: info", 1))
	text, code := run(t, env, "alert", "route", name, "--policy", pol, "--at", "2026-09-21T12:00:00+02:00")
	if code != 0 || !strings.Contains(text, "CRITICAL Identity lost its access to the key: ") || !strings.Contains(text, "no cluster that is hit has the tags owner=team-*") || !strings.Contains(text, "goes to log: policy.yaml:7") {
		t.Errorf("exit %d\n%s", code, text)
	}
	if text, code := run(t, env, "alert", "route", "CMK-051/"+strings.SplitN(name, "/", 2)[1]); code != 1 || !strings.Contains(text, "no alert of CMK-051/") {
		t.Errorf("exit %d\n%s", code, text)
	}
}

func TestPolicyCheckWarnsOfGaps(t *testing.T) {
	t.Parallel()
	file := write(t, "policy.yaml", strings.Replace(nightPolicy, "minSeverity: medium", "minSeverity: critical", 1))
	out, code := run(t, nil, "policy", "check", file)
	if code != 0 || !strings.Contains(out, "warning: policy.yaml:5: alerts: no route takes medium: nobody is told") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// A person acknowledges by the name that the alert shows; the record has who.
func TestAlertAck(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	pol := write(t, "policy.yaml", "version: 1\nchannels: [{name: log, kind: console}]\nalerts: [{minSeverity: info, channels: [log], repeat: 4h}]\n")
	env = append(env, "CMKGUARD_POLICY="+pol)
	url, out, _ := serve(t, env)
	sim.Unassign("22222222-2222-2222-2222-222222222201")
	post(t, url, sim.AccessPolicyChanged(key.Host, "e1"))
	name := ""
	eventually(t, out, "an alert that says how to acknowledge it", func() bool {
		if m := regexp.MustCompile(`cmkguard alert ack (CMK-050/cluster~[0-9a-f]{40}) --reason 'looking at it'`).FindStringSubmatch(out.String()); m != nil {
			name = m[1]
		}
		return name != ""
	})
	if text, code := run(t, env, "alert", "ack", name, "--reason", "calling the owner"); code != 0 || !strings.Contains(text, "CMK-050 of cluster:") || !strings.Contains(text, "acknowledged by the holder of the state (") {
		t.Errorf("exit %d\n%s", code, text)
	}
	for want, args := range map[string][]string{
		"was acknowledged already, by the holder": {"alert", "ack", name},
		"there is no incident CMK-051/":           {"alert", "ack", strings.Replace(name, "CMK-050", "CMK-051", 1)},
		`"CMK-050" is no incident`:                {"alert", "ack", "CMK-050"},
	} {
		if text, code := run(t, env, args...); code == 0 || !strings.Contains(text, want) {
			t.Errorf("%v: exit %d\n%s", args, code, text)
		}
	}
	eventually(t, out, "the record of it", func() bool {
		text, _ := run(t, env, "audit", "export")
		return strings.Contains(text, "CMK-050 acknowledged by the holder of the state (") && strings.Contains(text, "calling the owner")
	})
}
