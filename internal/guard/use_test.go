package guard_test

import (
	"fmt"
	"testing"
	"time"

	"cmkguard/internal/event"
	"cmkguard/internal/guard"
	"cmkguard/internal/policy"
	"cmkguard/internal/risk"
	"cmkguard/internal/risk/risktest"
)

func TestTheCadenceOfUseIsLearnedPerCluster(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	w := risktest.Complete(now)
	by := event.Actor{ObjectID: w.Identity.Value.PrincipalID}
	days := func(who event.Actor, version string, ago ...int) (out []guard.LastUse) {
		for _, d := range ago {
			out = append(out, guard.LastUse{Actor: who, Key: w.Key().At(version).String(), Day: now.AddDate(0, 0, -d).Format(time.DateOnly)})
		}
		return out
	}
	version := w.Key().Version
	for name, c := range map[string]struct {
		list   []guard.LastUse
		answer risk.Answer
	}{
		"never seen":         {nil, risk.Unknown},
		"only of a stranger": {days(event.Actor{ObjectID: "other"}, version, 9, 5, 1), risk.Unknown},
		"seen once":          {days(by, version, 300), risk.OK},
		"monthly, 40 days":   {days(by, version, 130, 100, 70, 40), risk.OK},
		"monthly, 70 days":   {days(by, version, 160, 130, 100, 70), risk.Broken},
		"of another version": {days(by, "cccccccccccccccccccccccccccccccc", 1), risk.Unknown},
		"several of one day": {days(by, version, 300, 300, 300), risk.OK},
	} {
		w.Posture.Use = guard.UseOf(c.list, w, now)
		vs := risk.Judge(w, risk.Defaults(), now, risk.Select("CMK-057"))
		if len(vs) != 1 || vs[0].Answer != c.answer {
			t.Errorf("%s: %+v", name, vs)
		}
	}
}

func TestSilenceAfterACadenceIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, setup{kind: "v2", created: 30 * 24 * time.Hour, mode: policy.DryRun})
	for n := range 4 {
		at := w.sim.Clock().Now()
		record := fmt.Sprintf(`{"records":[{"time":%q,"category":"AuditEvent","operationName":"KeyUnwrap","resultType":"Success","correlationId":"c%d",
			"resourceId":"/SUBSCRIPTIONS/%s/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/KV-A",
			"identity":{"claim":{"oid":%q}},"properties":{"id":%q,"httpStatusCode":200}}]}`, at.Format(time.RFC3339), n, sub, who, w.key.String())
		_, err := w.g.TakeLogs(ctx, "vaultlogs", [][]byte{[]byte(record)})
		must(t, err)
		w.sim.Clock().Advance(24 * time.Hour)
	}
	w.hint()
	w.run(0)
	if w.told.has("CMK-057", "") {
		t.Fatal("use within its cadence was told")
	}
	w.sim.Clock().Advance(10 * 24 * time.Hour)
	w.hint()
	w.run(1)
	if !w.told.has("CMK-057", "no unwrap for") {
		t.Fatal("a silence longer than twice the longest pause was not told")
	}
}
