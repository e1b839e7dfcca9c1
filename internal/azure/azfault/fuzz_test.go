package azfault_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/fault"
)

// Whatever a service answers, the fault has a kind, asks for a day's delay at the
// most, and tells a bounded line; a write is never taken for refused unless the
// answer is a clear refusal.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		`{"error":{"code":"Forbidden","message":"Caller is not authorized to perform action on resource.","innererror":{"code":"ForbiddenByRbac"}}}`,
		`{"error":{"code":"KeyNotFound","innerError":{"code":"X"}}}`, `{"error":"text"}`, `{"error":null}`, `<html>`, `[]`, ``, `{"error":{"message":"` + strings.Repeat("ä", 600) + `"}}`,
	} {
		for _, status := range []int{200, 302, 401, 403, 404, 408, 409, 412, 429, 500, 503} {
			f.Add(status, "30", body)
		}
	}
	f.Add(429, "Wed, 01 Nov 2026 00:00:00 GMT", "")
	f.Add(429, "-1", "")
	f.Add(429, "99999999999999999999", "")
	f.Fuzz(func(t *testing.T, status int, retry, body string) {
		if status < 100 || status > 599 {
			return
		}
		h := http.Header{"Retry-After": {retry}, "X-Ms-User-Quota-Resets-After": {retry}, "Date": {"Sun, 01 Nov 2026 00:00:00 GMT"}}
		for _, write := range []bool{false, true} {
			read := azfault.Read
			if write {
				read = azfault.Write
			}
			err := read("op", responseError(status, h, body))
			if d := fault.RetryAfter(err); d < 0 || d > 24*time.Hour {
				t.Fatalf("%d %q: wait %s", status, retry, d)
			}
			if text := err.Error(); len(text) > 2000 || !utf8.ValidString(text) || strings.ContainsAny(text, "\r\n") {
				t.Fatalf("%d %q: %q", status, body, text)
			}
			kind := fault.KindOf(err)
			if write && status >= 500 && kind != fault.Unknown || !write && status >= 500 && kind != fault.Transient {
				t.Fatalf("write %v, %d: %v", write, status, kind)
			}
		}
	})
}
