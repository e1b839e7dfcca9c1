package app_test

import (
	"strings"
	"testing"
	"time"

	"regexp"
)

// A person silences at the command line what the running handler would tell: the
// alert comes once the silence is expired.
func TestSilenceAtTheCommandLine(t *testing.T) {
	t.Parallel()
	sim, key, env, _ := keyed(t)
	pol := write(t, "policy.yaml", "version: 1\nchannels: [{name: log, kind: console}]\n")
	env = append(env, "CMKGUARD_POLICY="+pol)
	url, out, _ := serve(t, env)
	text, code := run(t, env, "silence", "add", "--owner", "anna", "--reason", "change 7", "--for", "4h", "--vault", "kv-a")
	m := regexp.MustCompile(`silence (s-[0-9a-f]{8}) of anna \(change 7\) until 20`).FindStringSubmatch(text)
	if code != 0 || m == nil || !strings.Contains(text, "added by the holder of the state (") {
		t.Fatalf("exit %d\n%s", code, text)
	}
	sim.Unassign("22222222-2222-2222-2222-222222222201")
	post(t, url, sim.AccessPolicyChanged(key.Host, "e1"))
	listed := func() string {
		text, _ := run(t, env, "silence", "list")
		return text
	}
	eventually(t, out, "the alert to be kept back", func() bool { return regexp.MustCompile(`change 7 +[1-9]`).MatchString(listed()) })
	if strings.Contains(out.String(), "CMK-050)") {
		t.Fatalf("it was told:\n%s", out)
	}
	if text, code := run(t, env, "silence", "expire", m[1]); code != 0 || !strings.Contains(text, "ended by the holder of the state") {
		t.Fatalf("exit %d\n%s", code, text)
	}
	eventually(t, out, "the alert, and the silence's end", func() bool {
		sim.Clock().Advance(time.Second)
		return strings.Contains(out.String(), "CMK-050)") && strings.Contains(out.String(), "A silence is over: "+m[1]) && strings.Contains(out.String(), "held back for")
	})
	if text := listed(); strings.Contains(text, m[1]) {
		t.Errorf("it is listed after its end:\n%s", text)
	}
}

func TestWhatIsNoSilenceIsRefused(t *testing.T) {
	t.Parallel()
	_, _, env, _ := keyed(t)
	with := func(more ...string) []string {
		return append([]string{"silence", "add", "--owner", "anna", "--reason", "x"}, more...)
	}
	for want, args := range map[string][]string{
		"want either --for or --until":    with("--vault", "kv-a"),
		`--until "soon": want`:            with("--vault", "kv-a", "--until", "soon"),
		"it matches every alert":          with("--for", "1h"),
		`"CMK-5" matches no check`:        with("--for", "1h", "--check", "CMK-5"),
		`"loud" is no severity`:           with("--for", "1h", "--min-severity", "loud"),
		`--tag "owner": want NAME=`:       with("--for", "1h", "--tag", "owner"),
		"30 days":                         with("--for", "800h", "--vault", "kv-a"),
		"want --subject or --vault":       with("--for", "1h", "--severity", "critical", "--vault", "kv-*"),
		"it has no owner":                 {"silence", "add", "--reason", "x", "--for", "1h", "--vault", "kv-a"},
		`there is no silence "s-unknown"`: {"silence", "expire", "s-unknown"},
	} {
		if text, code := run(t, env, args...); code == 0 || !strings.Contains(text, want) {
			t.Errorf("%v: exit %d\n%s", args, code, text)
		}
	}
}

// Where approvers are configured, who silences proves who it is.
func TestASilenceIsAPersonsWhereApproversAreConfigured(t *testing.T) {
	t.Parallel()
	sim, _, env, _ := keyed(t)
	env = append(env, "CMKGUARD_APPROVAL_TENANT="+directory, "CMKGUARD_APPROVAL_AUDIENCE="+approvers)
	args := []string{"silence", "add", "--owner", "anna", "--reason", "x", "--for", "1h", "--vault", "kv-a"}
	if text, code := run(t, append([]string{"CMKGUARD_APPROVER_TOKEN=token"}, env...), args...); code != 1 || !strings.Contains(text, "proves nobody") {
		t.Errorf("exit %d\n%s", code, text)
	}
	text, code := run(t, append([]string{"CMKGUARD_APPROVER_TOKEN=" + sim.SignIn(object("1"), approvers, nil)}, env...), args...)
	if code != 0 || !strings.Contains(text, "(object id "+object("1")+")") {
		t.Errorf("exit %d\n%s", code, text)
	}
}
