package alert

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/risk"
	"cmkguard/internal/store"
)

// CheckChannel is the incident of a channel that cannot be reached: what cannot tell
// is itself to be told, by the others.
const CheckChannel = "SELF-101"

// deskAfter writes down how a call of the channel ended. The first failure that opens
// its breaker is told to everybody else, and so is its end, each once: the alert and
// the breaker are written in one batch.
func (d *Dispatcher) deskAfter(ctx context.Context, channel string, failed error) (deskState, error) {
	s, err := d.changeDesk(ctx, channel, func(k *desk) (with batch, write bool) {
		now, was := d.now().UTC(), k.Breaker
		if failed == nil {
			if was == (breaker{}) {
				return batch{}, false
			}
			if k.Breaker = (breaker{}); was.open() {
				with = d.tellOthers(channel, was, Resolve, now)
			}
			return with, true
		}
		if asked := min(fault.RetryAfter(failed), longestAsked); asked > 0 {
			k.Shut = now.Add(asked)
		}
		k.Breaker = was.failed(ClassOf(failed), Clean(failed.Error(), maxErrorText), now, d.jitter())
		if k.Breaker.open() && !was.open() {
			with = d.tellOthers(channel, k.Breaker, Trigger, now)
		}
		return with, true
	})
	if errors.Is(err, errBusy) {
		return s, nil // others report on it as well
	}
	return s, err
}

// tellOthers is the alert about the channel, to everybody who reads another one.
func (d *Dispatcher) tellOthers(channel string, b breaker, life Lifecycle, now time.Time) batch {
	a := Alert{
		ID:       store.Name("a", fmt.Sprintf("%s|%s|%s|%s", CheckChannel, channel, b.Since.UTC().Format(time.RFC3339Nano), life)),
		DedupKey: KeyPrefix + CheckChannel + "/" + DeskPartition(channel), GroupKey: "self", Lifecycle: life, Severity: risk.High,
		Check: CheckChannel, Subject: "channel:" + channel, Since: b.Since, Ref: "channel", At: now,
	}
	title := fmt.Sprintf("Channel for alerts cannot be reached: %s (%s)", channel, CheckChannel)
	if life == Trigger {
		a.Title = title
		a.What = fmt.Sprintf("%d sendings in a row failed (%s); the last: %s", b.Failed, b.Class, b.Error)
		a.Breaks = "who reads this channel alone is not told; alerts wait for it, and severe ones go to other channels meanwhile"
		a.Next = []string{mend(b.Class)}
	} else {
		a.Title = Fixed + title
		a.What = "it takes alerts again; those that waited are being told, in their order"
	}
	others := slices.DeleteFunc(slices.Clone(d.rules.Everybody), func(s string) bool { return s == channel })
	entry := journal.Entry{Kind: journal.KindNote, Subject: a.Subject, Ref: a.ID, Text: Clean(a.Title+": "+a.What, 1000)}
	return batch{entries: []journal.Entry{entry}, ops: Rows(Notifications(a, To(others...), now))}
}

// mend is what a person does about failures of a class.
func mend(c Class) string {
	switch c {
	case ClassAuth:
		return "Give the channel credentials that its receiver takes: look at the setting that its secretRef names, and restart."
	case ClassRate:
		return "Nothing at once: it is sent more slowly. If this comes again, route less to it or raise the receiver's limit."
	case ClassPayload:
		return "Look at the channel's URL and at its template: the receiver refuses what it is sent."
	case ClassServer, ClassNetwork:
	}
	return "Look at the receiver's status page, and whether this app can reach it (DNS, firewall, proxy)."
}
