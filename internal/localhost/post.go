package localhost

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"

	"cmkguard/internal/fault"
)

// Version is the Functions host whose protocol is spoken here.
const Version = "4.1045.200.25556"

// maxAnswer bounds the answer that is read; ours has two bytes.
const maxAnswer = 1 << 20

// Post sends one invocation as the host does. nil means that the host would
// take it as done; anything else, a 200 of the wrong shape too, is Unknown:
// the handler may have done its work all the same.
func Post(ctx context.Context, client *http.Client, baseURL, function, invocationID string, body []byte) error {
	const op = "localhost.Post"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+"/"+function, bytes.NewReader(body))
	if err != nil {
		return fault.Wrap(fault.Invalid, op, err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("User-Agent", "Azure-Functions-Host/"+Version)
	req.Header.Set("X-Azure-Functions-HostVersion", Version)
	req.Header.Set("X-Azure-Functions-InvocationId", invocationID)
	res, err := client.Do(req)
	if err != nil {
		return fault.Wrap(fault.Unknown, op, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fault.Wrap(fault.Unknown, op, err)
	}
	return accepted(res, answer)
}

// accepted is the real host's reading of an answer. It would wait for ever on
// an empty one; here that is a failure at once.
func accepted(res *http.Response, answer []byte) error {
	const op = "localhost.accepted"
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return fault.New(fault.Unknown, op, "status %d", res.StatusCode)
	}
	if media, _, err := mime.ParseMediaType(res.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return fault.New(fault.Unknown, op, "status %d with content type %q", res.StatusCode, res.Header.Get("Content-Type"))
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(answer, &object); err != nil || object == nil {
		return fault.New(fault.Unknown, op, "status %d with a body of %d bytes that is no JSON object", res.StatusCode, len(answer))
	}
	return nil
}
