package funchost

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Request is what an httpTrigger's envelope says of the caller's request. It holds
// the caller's token: it may be neither logged nor stored.
type Request struct {
	Method string
	URL    string
	Params map[string]string // of the route
	Query  map[string]string
	Body   string // text; "" where there was none, or where it came without a length
	header map[string][]string
}

// Header returns the first value of a header, whatever its case.
func (r Request) Header(name string) string {
	for k, v := range r.header {
		if strings.EqualFold(k, name) && len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// Response is the answer to an HTTP caller.
type Response struct {
	Status int
	Header map[string]string
	Body   string
}

// Request returns the request of an HTTP binding. An error says that it is not as
// the host writes it and quotes nothing of it.
func (inv *Invocation) Request(name string) (Request, error) {
	const op = "funchost.Request"
	raw, err := inv.Object(name)
	if err != nil {
		return Request{}, err
	}
	var r struct {
		Method, URL string
		Params      map[string]string
		Query       map[string]string
		Headers     map[string][]string
		Body        json.RawMessage
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return Request{}, shape(op, "binding %q: %s", name, jsonProblem(err))
	}
	out := Request{Method: strings.ToUpper(r.Method), URL: r.URL, Params: r.Params, Query: r.Query, header: r.Headers}
	if out.Method == "" {
		return Request{}, shape(op, "binding %q has no method", name)
	}
	if len(r.Body) > 0 && json.Unmarshal(r.Body, &out.Body) != nil {
		out.Body = string(r.Body) // an object, as older hosts sent JSON bodies
	}
	return out, nil
}

// Reply sets what the caller of an HTTP function gets under the output binding;
// without a reply an HTTP function answers 200 and nothing.
func (inv *Invocation) Reply(binding string, r Response) {
	headers := map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
	for k, v := range r.Header {
		headers[http.CanonicalHeaderKey(k)] = v
	}
	inv.outputs = map[string]any{binding: map[string]any{"statusCode": strconv.Itoa(r.Status), "headers": headers, "body": r.Body}}
}
