package event

import (
	"encoding/json"
	"strings"
	"testing"

	"cmkguard/internal/azureid"
)

// unrelated is a record of the data path that nobody here needs, as long as they
// are in captures.
func unrelated() string {
	return auditRecord("SecretGet", 200, "/secrets/connection-string/"+version, `"durationMs"`,
		`"operationVersion":"7.4","resultSignature":"OK","clientInfo":"Mozilla/5.0 (X11; Linux x86_64) azsdk-net-Security.KeyVault.Secrets/4.5.0 (.NET 8.0.4; \"Linux\")","durationMs"`)
}

// BenchmarkUnrelatedRecords measures what a record costs that is dropped, beside
// the standard library's checking and decoding of the same bytes.
func BenchmarkUnrelatedRecords(b *testing.B) {
	const many = 200
	raw := []byte(`{"records":[` + strings.Repeat(unrelated()+",", many-1) + unrelated() + `]}`)
	for _, c := range []struct {
		name string
		do   func() int
	}{
		{"ParseAuditLogs", func() int { a, _ := ParseAuditLogs(raw, azureid.Public()); return a.Dropped }},
		{"json.Valid", func() int { _ = json.Valid(raw); return many }},
		{"json.Unmarshal", func() int {
			var v struct {
				Records []struct {
					OperationName, Category string
					Properties              struct{ HTTPStatusCode int }
				}
			}
			_ = json.Unmarshal(raw, &v)
			return len(v.Records)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if n := c.do(); n != many {
					b.Fatal(n)
				}
			}
		})
	}
}
