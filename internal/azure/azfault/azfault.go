// Package azfault turns the errors of the Azure SDK into faults: what a
// reader may do next, the service's own code, and the delay that it asked for.
// Whether an effect can have happened differs between a read and a write, so
// there is one function for each.
//
// It retries nothing and hides nothing: the SDK's error stays in the chain.
package azfault

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"cmkguard/internal/fault"
)

// Read classifies the error of a call without an effect: what is not a clear
// answer is Transient, because asking again does no harm. nil stays nil.
func Read(op string, err error) error { return classify(op, err, fault.Transient) }

// Write classifies the error of a call with an effect: what is not a clear
// refusal is Unknown (time-outs, broken connections, any 5xx, an unreadable
// answer), because the effect may have happened. nil stays nil.
func Write(op string, err error) error { return classify(op, err, fault.Unknown) }

// NotFound reports whether a service said in its own words that the thing is
// not there. A 404 without a code (a proxy's) and one about a subscription or
// a provider (which the caller may merely not see) do not count.
func NotFound(err error) bool {
	var re *azcore.ResponseError
	if !errors.As(err, &re) || re.StatusCode != http.StatusNotFound || re.ErrorCode == "" {
		return false
	}
	code := strings.ToLower(re.ErrorCode)
	for _, other := range [...]string{"subscription", "tenant", "provider", "resourcetype"} {
		if strings.Contains(code, other) {
			return false
		}
	}
	return true
}

// classify gives unclear as the kind of everything that is not a clear answer.
func classify(op string, err error, unclear fault.Kind) error {
	if err == nil {
		return nil
	}
	var own *fault.Error
	if errors.As(err, &own) { // our own refusals and credential faults, under the SDK's wrapping
		return &fault.Error{Op: op, Kind: own.Kind, Code: own.Code, RetryAfter: own.RetryAfter, Err: err}
	}
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		return answered(op, re, err, unclear)
	}
	if beforeSending(err) {
		return &fault.Error{Op: op, Kind: fault.Transient, Code: "NotSent", Err: err}
	}
	return &fault.Error{Op: op, Kind: unclear, Code: timeoutCode(err), Err: err}
}

// answered classifies a service's answer.
func answered(op string, re *azcore.ResponseError, err error, unclear fault.Kind) error {
	body := read(re)
	out := &fault.Error{
		Op: op, Kind: kindOf(re.StatusCode, unclear), Code: body.code,
		Err: &answer{status: re.StatusCode, message: body.message, err: err},
	}
	if re.RawResponse != nil {
		out.RetryAfter = retryAfter(re.RawResponse.Header)
	}
	return out
}

func kindOf(status int, unclear fault.Kind) fault.Kind {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.Denied
	case http.StatusConflict, http.StatusPreconditionFailed:
		return fault.Conflict
	case http.StatusTooManyRequests:
		return fault.Transient
	case http.StatusRequestTimeout:
		return unclear
	}
	if status >= 300 && status < 500 {
		return fault.Invalid
	}
	return unclear // 5xx; and 2xx, whose answer the SDK could not use
}

// beforeSending reports whether the error arose before a request could leave:
// no name, no connection. A failed connection attempt is not an effect.
func beforeSending(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}

func timeoutCode(err error) string {
	var t net.Error
	if errors.Is(err, context.DeadlineExceeded) || errors.As(err, &t) && t.Timeout() {
		return "TimedOut"
	}
	return ""
}
