package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"cmkguard/handlers/resourceevents"
	"cmkguard/handlers/vaultlogs"
	"cmkguard/internal/azureid"
	"cmkguard/internal/fault"
	"cmkguard/internal/funchost"
	"cmkguard/internal/guard"
	"cmkguard/internal/journal"
	"cmkguard/internal/localhost"
	"cmkguard/internal/policy"
	"cmkguard/internal/store"
)

// A thousand events of a day on which a million come: 900 audit records of the data
// path that concern nobody here, 40 that do, 10 claims of use, 50 resource events.
const (
	mixedEvents    = 1000
	mixedMessages  = 10
	mixedRecords   = 95 // of a message: 90 unrelated, 4 that matter, 1 use
	mixedResources = 50
	mixedTime      = 24 * time.Hour / 1000
)

// thousand returns the invocations of the n-th thousand events, as the host posts
// them: each event and record with names of its own.
func thousand(tb testing.TB, n int, at time.Time) (logs, events [][]byte) {
	tb.Helper()
	var messages [][]byte
	for m := range mixedMessages {
		var b bytes.Buffer
		b.WriteString(`{"records":[`)
		for r := range mixedRecords {
			if r > 0 {
				b.WriteByte(',')
			}
			writeRecord(&b, n*mixedMessages+m, r, at)
		}
		b.WriteString(`]}`)
		messages = append(messages, b.Bytes())
	}
	for i := 0; i < len(messages); i += 5 {
		body, err := localhost.EventHubEnvelope(call(vaultlogs.Name), vaultlogs.Binding, localhost.HubMessages{Hub: vaultlogs.Hub, Partition: "0", Enqueued: at, Bodies: messages[i : i+5]})
		if err != nil {
			tb.Fatal(err)
		}
		logs = append(logs, body)
	}
	for i := range mixedResources {
		id := fmt.Sprintf("%sMicrosoft.Cache/redisEnterprise/cache-%d", scope, i%20)
		event := fmt.Sprintf(`{"id":"m-%d-%d","topic":"/subscriptions/11111111-1111-1111-1111-111111111111","subject":%q,"eventType":"Microsoft.Resources.ResourceWriteSuccess",
			"eventTime":%q,"dataVersion":"2","metadataVersion":"1","data":{"authorization":{"scope":%q,"action":"Microsoft.Cache/redisEnterprise/write","evidence":{"role":"Contributor"}},
			"claims":{"appid":"3686488a-04fc-4d8a-b967-61f98ec41efe","groups":["a","b"]},"correlationId":"c","operationName":"Microsoft.Cache/redisEnterprise/write","resourceUri":%q,"status":"Succeeded"}}`,
			n, i, id, at.Format(time.RFC3339Nano), id, id)
		body, err := localhost.EventGridEnvelope(call(resourceevents.Name), resourceevents.Binding, json.RawMessage(event))
		if err != nil {
			tb.Fatal(err)
		}
		events = append(events, body)
	}
	return logs, events
}

// writeRecord writes the r-th record of the m-th message, as long as captured ones.
func writeRecord(b *bytes.Buffer, m, r int, at time.Time) {
	vault := fmt.Sprintf("kv-%d", m%300)
	operation, path := []string{"SecretGet", "KeyGet", "SecretList", "VaultGet", "CertificateGet"}[r%5], "secrets/connection-string/0123456789abcdef0123456789abcdef"
	switch r % 24 {
	case 7: // 4 of 95
		operation, path = []string{"KeyDelete", "KeyUpdate", "KeyRotate", "VaultPatch"}[m%4], fmt.Sprintf("keys/kek-%d", r)
	}
	if r == 50 {
		operation, path = "KeyUnwrap", fmt.Sprintf("keys/kek-%d/0123456789abcdef0123456789abcdef", m%7)
	}
	fmt.Fprintf(b, `{"time":%q,"category":"AuditEvent","operationName":%q,"resultType":"Success","correlationId":"%d-%d","callerIpAddress":"10.0.0.10",`+
		`"identity":{"claim":{"oid":"cccccccc-0000-4000-8000-0000000000%02d","appid":"3686488a-04fc-4d8a-b967-61f98ec41efe","scp":"user_impersonation","appidacr":"0","xms_az_nwperimid":[],"upn":"john.doe@example.com","ipaddr":"10.0.0.10","amr":"pwd"}},`+
		`"properties":{"id":"https://%s.vault.azure.net/%s","clientInfo":"azsdk-net-Security.KeyVault/4.5.0 (.NET 8.0.4; \"Linux\")","httpStatusCode":200,"requestUri":"https://%s.vault.azure.net/%s?api-version=7.4","isAccessPolicyMatch":true,"tlsVersion":"TLS1_3"},`+
		`"resourceId":"/SUBSCRIPTIONS/11111111-1111-1111-1111-111111111111/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/%s","operationVersion":"7.4","resultSignature":"OK","durationMs":"44"}`,
		at.Format(time.RFC3339Nano), operation, m, r, m%30, vault, path, vault, path, strings.ToUpper(vault))
}

// ledger is a store that keeps of each row that it is there, and nothing of what is
// in it: the storage account's memory is not ours. It counts the signals.
type ledger struct {
	rows    map[uint64]uint32
	seed    maphash.Seed
	signals int
	uses    int
	poison  int
	queued  int
}

func newLedger() *ledger { return &ledger{rows: map[uint64]uint32{}, seed: maphash.MakeSeed()} }

func (l *ledger) key(partition, key string) uint64 {
	return maphash.String(l.seed, partition+"\n"+key)
}

func (l *ledger) Get(_ context.Context, partition, key string) (store.Row, bool, error) {
	n, ok := l.rows[l.key(partition, key)]
	return store.Row{Partition: partition, Key: key, ETag: fmt.Sprint(n)}, ok, nil
}

func (l *ledger) Scan(context.Context, string, string, string, int) ([]store.Row, error) {
	return nil, nil
}

func (l *ledger) Apply(_ context.Context, partition string, ops []store.Op) ([]string, error) {
	var etags []string
	for _, op := range ops {
		k := l.key(partition, op.Key)
		n, ok := l.rows[k]
		if ok != (op.Kind != store.Insert) || ok && op.ETag != fmt.Sprint(n) {
			return nil, fault.New(fault.Conflict, "ledger", "%s", op.Key)
		}
		if op.Kind == store.Delete {
			delete(l.rows, k)
			etags = append(etags, "")
			continue
		}
		l.rows[k] = n + 1
		etags = append(etags, fmt.Sprint(n+1))
		if op.Kind == store.Insert {
			l.count(partition, op.Key)
		}
	}
	return etags, nil
}

func (l *ledger) count(partition, key string) {
	switch {
	case strings.HasPrefix(partition, "signal~"):
		l.signals++
	case strings.HasPrefix(key, "use~"):
		l.uses++
	case strings.HasPrefix(key, "poison~"):
		l.poison++
	}
}

func (l *ledger) Put(context.Context, string, []byte, time.Duration) error { l.queued++; return nil }

func (l *ledger) Take(context.Context, string, int, time.Duration) ([]store.Message, error) {
	return nil, nil
}

func (l *ledger) Done(context.Context, string, store.Message) error { return nil }

// counted adds up what the log's deliveries came to.
type counted struct {
	*guard.Guard
	sum guard.Taken
}

func (c *counted) TakeLogs(ctx context.Context, source string, messages [][]byte) (guard.Taken, error) {
	t, err := c.Guard.TakeLogs(ctx, source, messages)
	c.sum.Signals, c.sum.Uses, c.sum.Dropped = c.sum.Signals+t.Signals, c.sum.Uses+t.Uses, c.sum.Dropped+t.Dropped
	c.sum.Poison, c.sum.Folded = c.sum.Poison+t.Poison, c.sum.Folded+t.Folded
	return t, err
}

// mixed is the program's doors over a ledger, at a clock that the caller moves.
func mixed(at *time.Time) (http.Handler, *counted, *ledger) {
	now := func() time.Time { return *at }
	l := newLedger()
	g := &counted{Guard: &guard.Guard{
		Cloud: azureid.Public(), Policy: policy.Default(), State: l, Queue: l, Rec: journal.NewRecorder(l, "test", now), Now: now, NewID: func() string { return "id" },
		Watch: guard.Watch{Losses: true},
	}}
	srv := funchost.New(funchost.Options{Log: zerolog.New(io.Discard), Now: now, OnPoison: func(context.Context, string, string, string, []byte) error { l.poison++; return nil }})
	srv.Handle(vaultlogs.Name, vaultlogs.Handler(g))
	srv.Handle(resourceevents.Name, resourceevents.Handler(g))
	srv.Ready()
	return srv, g, l
}

// bareDecoder does with the same bytes what any handler must: it decodes the
// envelope, the messages, and of each record or event the fields that tell what it
// is. It keeps nothing.
func bareDecoder() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v struct {
			Data struct {
				Logs  string
				Event struct {
					ID, EventType string
					Data          struct{ OperationName, ResourceURI string }
				}
			}
		}
		err := json.NewDecoder(r.Body).Decode(&v)
		var messages []string
		if err == nil && v.Data.Logs != "" {
			err = json.Unmarshal([]byte(v.Data.Logs), &messages)
		}
		for _, m := range messages {
			var body struct {
				Records []struct {
					OperationName, Category, ResourceID string
					Properties                          struct {
						ID             string
						HTTPStatusCode int
					}
				}
			}
			raw, bad := base64.StdEncoding.DecodeString(m)
			if bad != nil || json.Unmarshal(raw, &body) != nil || len(body.Records) != mixedRecords {
				err = io.ErrUnexpectedEOF
			}
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})
}

func send(tb testing.TB, h http.Handler, function string, bodies [][]byte) {
	for _, body := range bodies {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/"+function, bytes.NewReader(body)))
		if w.Code != http.StatusOK {
			tb.Fatalf("%s: %d %s", function, w.Code, w.Body)
		}
	}
}

// TestAMillionMixedEvents sends a day's events through the program's doors: each is
// in exactly one count, each that matters has a signal and a message of its own,
// and what the program keeps does not grow with their number. CMKGUARD_MIXED says
// how many (make million: a million). It runs by itself, for the heap is the process's.
func TestAMillionMixedEvents(t *testing.T) {
	many := 20_000
	if n, err := strconv.Atoi(os.Getenv("CMKGUARD_MIXED")); err == nil {
		many = n
	}
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	h, g, l := mixed(&at)
	var heap, peak runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&heap)
	rounds := many / mixedEvents
	for n := range rounds {
		logs, events := thousand(t, n, at)
		send(t, h, vaultlogs.Name, logs)
		send(t, h, resourceevents.Name, events)
		at = at.Add(mixedTime)
		if n%10 == 9 {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if m.HeapAlloc > peak.HeapAlloc {
				peak = m
			}
		}
	}
	matter := 4 * mixedMessages * rounds
	want := guard.Taken{Signals: matter, Uses: mixedMessages * rounds, Dropped: 90 * mixedMessages * rounds}
	if g.sum != want {
		t.Errorf("of %d records: %+v, want %+v", mixedRecords*mixedMessages*rounds, g.sum, want)
	}
	if signals := matter + mixedResources*rounds; l.signals != signals || l.queued != signals || l.poison != 0 || l.uses == 0 {
		t.Errorf("%d signals and %d messages stored, want %d; %d uses, %d kept as poison", l.signals, l.queued, signals, l.uses, l.poison)
	}
	t.Logf("%d events: %+v, %d rows of use; heap %d MiB at its peak", many, g.sum, l.uses, peak.HeapAlloc>>20)
	ledgers := uint64(40 * len(l.rows)) // the stand-in for storage
	if peak.HeapAlloc > heap.HeapAlloc+ledgers+64<<20 {
		t.Errorf("the heap grew from %d to %d MiB", heap.HeapAlloc>>20, peak.HeapAlloc>>20)
	}
}

// BenchmarkMixed measures a thousand mixed events through the program's doors, of
// which a hundred are stored and queued (in a ledger that costs next to nothing),
// beside a handler that decodes the same JSON and does nothing else.
func BenchmarkMixed(b *testing.B) {
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	srv, _, _ := mixed(&at)
	for _, c := range []struct {
		name string
		h    http.Handler
	}{{"cmkguard", srv}, {"bare-decoder", bareDecoder()}} {
		b.Run(c.name, func(b *testing.B) {
			n, size := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				logs, events := thousand(b, n, at)
				n, at, size = n+1, at.Add(mixedTime), 0
				for _, body := range append(logs, events...) {
					size += len(body)
				}
				b.StartTimer()
				send(b, c.h, vaultlogs.Name, logs)
				send(b, c.h, resourceevents.Name, events)
			}
			b.SetBytes(int64(size))
			b.ReportMetric(float64(b.N*mixedEvents)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
