package azfault_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/azure/azuretest"
	"cmkguard/internal/fault"
)

func responseError(status int, header http.Header, body string) error {
	if header == nil {
		header = http.Header{}
	}
	return runtime.NewResponseError(&http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))})
}

func TestDocumentedKeyVaultErrorsKeepTheirInnerCode(t *testing.T) {
	t.Parallel()
	var docs []struct {
		HTTP int             `json:"http"`
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal([]byte(azuretest.Payload(t, "kv-errors.json")), &docs); err != nil {
		t.Fatal(err)
	}
	want := []string{"KeyNotFound", "KeyOperationForbidden", "KeyDisabled", "ForbiddenByRbac", "AccessDenied", "ForbiddenByFirewall",
		"ObjectIsDeletedButRecoverable", "ObjectIsBeingDeleted", "Throttled", "Unauthorized"}
	for i, d := range docs {
		kind := map[int]fault.Kind{401: fault.Denied, 403: fault.Denied, 404: fault.Invalid, 409: fault.Conflict, 429: fault.Transient}[d.HTTP]
		err := azfault.Read("op", responseError(d.HTTP, nil, string(d.Body)))
		if fault.KindOf(err) != kind || fault.CodeOf(err) != want[i] {
			t.Errorf("%s: %v %q", want[i], fault.KindOf(err), fault.CodeOf(err))
		}
		// The same without its inner error: the message gives the code away.
		var b map[string]map[string]any
		if err := json.Unmarshal(d.Body, &b); err != nil {
			t.Fatal(err)
		}
		delete(b["error"], "innererror")
		bare, err2 := json.Marshal(b)
		if err2 != nil {
			t.Fatal(err2)
		}
		if got := fault.CodeOf(azfault.Read("op", responseError(d.HTTP, nil, string(bare)))); d.HTTP == 403 && got != want[i] {
			t.Errorf("by message: %q, want %q", got, want[i])
		}
	}
}

type slow struct{ error }

func (slow) Timeout() bool   { return true }
func (slow) Temporary() bool { return true }

func TestWhatIsNotAClearAnswerIsUnknownForAWrite(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err         error
		read, write fault.Kind
	}{
		"deadline":      {fmt.Errorf("x: %w", context.DeadlineExceeded), fault.Transient, fault.Unknown},
		"timeout":       {slow{errors.New("awaiting headers")}, fault.Transient, fault.Unknown},
		"reset":         {&net.OpError{Op: "read", Err: errors.New("reset")}, fault.Transient, fault.Unknown},
		"eof":           {io.ErrUnexpectedEOF, fault.Transient, fault.Unknown},
		"500":           {responseError(500, nil, ""), fault.Transient, fault.Unknown},
		"503":           {responseError(503, nil, ""), fault.Transient, fault.Unknown},
		"408":           {responseError(408, nil, ""), fault.Transient, fault.Unknown},
		"bad 200":       {responseError(200, nil, ""), fault.Transient, fault.Unknown},
		"no connection": {&net.OpError{Op: "dial", Err: errors.New("refused")}, fault.Transient, fault.Transient},
		"no name":       {&net.DNSError{Err: "no such host"}, fault.Transient, fault.Transient},
		"412":           {responseError(412, nil, ""), fault.Conflict, fault.Conflict},
		"422":           {responseError(422, nil, ""), fault.Invalid, fault.Invalid},
		"redirect":      {responseError(307, nil, ""), fault.Invalid, fault.Invalid},
		"our own":       {fmt.Errorf("sdk: %w", fault.New(fault.Denied, "x", "no")), fault.Denied, fault.Denied},
	} {
		if got := fault.KindOf(azfault.Read("op", tc.err)); got != tc.read {
			t.Errorf("%s: read %v, want %v", name, got, tc.read)
		}
		err := azfault.Write("op", tc.err)
		if got := fault.KindOf(err); got != tc.write {
			t.Errorf("%s: write %v, want %v", name, got, tc.write)
		}
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
	if azfault.Read("op", nil) != nil || azfault.Write("op", nil) != nil {
		t.Error("nil did not stay nil")
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"seconds":   {http.Header{"Retry-After": {"17"}}, 17 * time.Second},
		"ms":        {http.Header{"X-Ms-Retry-After-Ms": {"1500"}, "Retry-After": {"9"}}, 1500 * time.Millisecond},
		"short ms":  {http.Header{"Retry-After-Ms": {"20"}}, 20 * time.Millisecond},
		"date":      {http.Header{"Retry-After": {"Sun, 20 Sep 2026 10:00:30 GMT"}, "Date": {"Sun, 20 Sep 2026 10:00:00 GMT"}}, 30 * time.Second},
		"past date": {http.Header{"Retry-After": {"Sun, 20 Sep 2026 09:00:30 GMT"}, "Date": {"Sun, 20 Sep 2026 10:00:00 GMT"}}, 0},
		"quota":     {http.Header{"X-Ms-User-Quota-Resets-After": {"00:00:05"}}, 5 * time.Second},
		"years":     {http.Header{"Retry-After": {"999999999"}}, 24 * time.Hour},
		"negative":  {http.Header{"Retry-After": {"-5"}}, 0},
		"junk":      {http.Header{"Retry-After": {"soon"}}, 0},
	} {
		if got := fault.RetryAfter(azfault.Read("op", responseError(429, tc.header, ""))); got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestNotFoundIsTheServicesWord(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{
		"ResourceNotFound": true, "KeyNotFound": true, "ResourceGroupNotFound": true,
		"": false, "SubscriptionNotFound": false, "InvalidSubscriptionId": false, "NoRegisteredProviderFound": false,
	} {
		err := responseError(404, nil, `{"error":{"code":"`+code+`","message":"x"}}`)
		if azfault.NotFound(err) != want || azfault.NotFound(azfault.Read("op", err)) != want {
			t.Errorf("%q: not %v", code, want)
		}
	}
	if azfault.NotFound(responseError(403, nil, `{"error":{"code":"KeyNotFound"}}`)) || azfault.NotFound(nil) {
		t.Error("only a 404 counts")
	}
}

func TestAServicesTextIsBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é\n", 5000)
	raw, err := json.Marshal(map[string]any{"error": map[string]any{"code": "X", "message": long}})
	if err != nil {
		t.Fatal(err)
	}
	s := azfault.Read("op", responseError(400, nil, string(raw))).Error()
	if len(s) > 600 || strings.Contains(s, "\n") {
		t.Errorf("%d bytes: %q", len(s), s)
	}
}
