package azfault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// maxMessage bounds what a service can put into our records.
const maxMessage = 512

// answer is a service's answer in one line; the SDK's own text is a page.
type answer struct {
	status  int
	message string
	err     error
}

func (a *answer) Error() string {
	if a.message == "" {
		return fmt.Sprintf("HTTP %d", a.status)
	}
	return fmt.Sprintf("HTTP %d: %s", a.status, a.message)
}

func (a *answer) Unwrap() error { return a.err }

// said is what an error body says.
type said struct{ code, message string }

// errorBody is the body of Azure Resource Manager and of Key Vault. Key Vault
// spells the inner error both ways (SDK for JavaScript, keyvault-keys).
type errorBody struct {
	Error struct {
		Code       string `json:"code"`
		Message    string `json:"message"`
		InnerError *inner `json:"innererror"`
	} `json:"error"`
}

type inner struct {
	Code string `json:"code"`
}

// read returns the most exact code of the body: the inner one, else the one
// that the message gives away, else the outer one.
func read(re *azcore.ResponseError) said {
	out := said{code: re.ErrorCode}
	if re.RawResponse == nil {
		return out
	}
	raw, err := runtime.Payload(re.RawResponse)
	if err != nil {
		return out
	}
	var b errorBody // encoding/json matches "innerError" too: field names are compared without case
	if err := json.Unmarshal(raw, &b); err != nil {
		return out
	}
	out.message = oneLine(b.Error.Message)
	switch inner := b.Error.InnerError; {
	case inner != nil && inner.Code != "":
		out.code = inner.Code
	case re.StatusCode == http.StatusForbidden && codeOfMessage(b.Error.Message) != "":
		out.code = codeOfMessage(b.Error.Message)
	case out.code == "":
		out.code = b.Error.Code
	}
	return out
}

// codeOfMessage is for answers without an inner error. (Key Vault's "Common
// error codes" and "REST API error codes" pages.)
func codeOfMessage(message string) string {
	m := strings.ToLower(message)
	for _, known := range [...]struct{ text, code string }{
		{"on a disabled key", "KeyDisabled"},
		{"not a trusted service", "ForbiddenByFirewall"},
		{"not authorized to perform action on resource", "ForbiddenByRbac"},
		{"permission on key vault", "AccessDenied"},
		{"is not permitted on this key", "KeyOperationForbidden"},
	} {
		if strings.Contains(m, known.text) {
			return known.code
		}
	}
	return ""
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "?")), " ")
	if len(s) <= maxMessage {
		return s
	}
	cut := maxMessage
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "..."
}

// retryAfter returns the delay that the headers ask for, at most a day. A date
// is measured from the answer's own Date, so that no clock of ours is needed.
func retryAfter(h http.Header) time.Duration {
	var d time.Duration
	for _, name := range [...]string{"retry-after-ms", "x-ms-retry-after-ms"} {
		if ms, err := strconv.Atoi(h.Get(name)); err == nil && ms > 0 {
			return bounded(time.Duration(ms) * time.Millisecond)
		}
	}
	if s := h.Get("Retry-After"); s != "" {
		if sec, err := strconv.Atoi(s); err == nil {
			d = time.Duration(sec) * time.Second
		} else if at, err := http.ParseTime(s); err == nil {
			if from, err := http.ParseTime(h.Get("Date")); err == nil {
				d = at.Sub(from)
			}
		}
	}
	if d == 0 { // Resource Graph: hh:mm:ss until the quota is whole again
		if t, err := time.Parse(time.TimeOnly, h.Get("x-ms-user-quota-resets-after")); err == nil {
			d = time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
		}
	}
	return bounded(d)
}

func bounded(d time.Duration) time.Duration { return min(max(d, 0), 24*time.Hour) }
