package localhost

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxFront     = 1 << 20
	frontTimeout = 5 * time.Minute
)

// Front answers HTTP requests by an HTTP function, as the Functions host's own front
// does for a function with one route parameter at the end of its path. It signs
// nobody in: who stands before it (App Service authentication, a demo) does.
type Front struct {
	BaseURL  string // of the handlers
	Function string
	Binding  string
	Output   string
	Prefix   string // path in front of the parameter: "/api/approvals/"
	Param    string // its name in the route
	Now      func() time.Time
	NewID    func() string
}

// ServeHTTP implements http.Handler. What is not an answer as the host wants it is
// 502: a real host shows a 500 then.
func (f Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	value, ok := strings.CutPrefix(r.URL.Path, f.Prefix)
	if !ok {
		http.NotFound(w, r)
		return
	}
	body, err := f.envelope(r, value)
	if err != nil {
		http.Error(w, "the request could not be read", http.StatusBadRequest)
		return
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, f.BaseURL+"/"+f.Function, bytes.NewReader(body))
	if err != nil {
		http.Error(w, "no such function", http.StatusBadGateway)
		return
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := (&http.Client{Timeout: frontTimeout}).Do(req)
	if err != nil {
		http.Error(w, "the function does not answer", http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	f.relay(w, resp)
}

func (f Front) envelope(r *http.Request, value string) ([]byte, error) {
	in := HTTPRequest{URL: "http://" + r.Host + r.URL.String(), Method: r.Method, Params: []Pair{{f.Param, value}}}
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		in.Headers = append(in.Headers, Pair{name, r.Header.Get(name)})
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxFront))
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		in.Body = body
	}
	return HTTPEnvelope(Call{Function: f.Function, UtcNow: f.Now().UTC(), RandGuid: f.NewID()}, f.Binding, in)
}

func (f Front) relay(w http.ResponseWriter, resp *http.Response) {
	var answer struct {
		Outputs map[string]struct {
			Status string            `json:"statusCode"`
			Header map[string]string `json:"headers"`
			Body   string            `json:"body"`
		}
	}
	err := json.NewDecoder(io.LimitReader(resp.Body, maxFront)).Decode(&answer)
	out, ok := answer.Outputs[f.Output]
	status, bad := strconv.Atoi(out.Status)
	if err != nil || !ok || bad != nil || status < 200 || status > 599 {
		http.Error(w, "the function's answer could not be read", http.StatusBadGateway)
		return
	}
	for name, v := range out.Header {
		w.Header().Set(name, v)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, out.Body)
}
