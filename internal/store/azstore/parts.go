package azstore

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// part is the answer to one operation of a transaction. The SDK returns neither
// ETags nor the code of the operation that was refused, so that the answer is
// read here (learn.microsoft.com rest/api/storageservices/performing-entity-group-transactions).
type part struct {
	status int
	etag   string
	code   string
}

// readParts returns nil for an answer that is no transaction's.
func readParts(resp *http.Response) []part {
	if resp == nil || resp.StatusCode != http.StatusAccepted {
		return nil
	}
	body, err := runtime.Payload(resp)
	if err != nil {
		return nil
	}
	outer := firstPart(resp.Header.Get("Content-Type"), body)
	if outer == nil {
		return nil
	}
	defer outer.Close()
	_, params, err := mime.ParseMediaType(outer.Header.Get("Content-Type"))
	if err != nil {
		return nil
	}
	var out []part
	for inner := multipart.NewReader(outer, params["boundary"]); ; {
		p, err := inner.NextRawPart()
		if err != nil {
			return out
		}
		out = append(out, readPart(p))
	}
}

func firstPart(contentType string, body []byte) *multipart.Part {
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil
	}
	p, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).NextRawPart()
	if err != nil {
		return nil
	}
	return p
}

func readPart(r io.Reader) part {
	resp, err := http.ReadResponse(bufio.NewReader(r), nil)
	if err != nil {
		return part{status: http.StatusInternalServerError, code: "unreadable answer"}
	}
	defer resp.Body.Close()
	p := part{status: resp.StatusCode, etag: resp.Header.Get("ETag")}
	switch {
	case p.status >= 200 && p.status < 300:
		return p
	case p.status < 400 || p.status > 599: // no operation is answered so: neither done nor refused for sure
		return part{status: http.StatusInternalServerError, code: "unreadable answer"}
	}
	var odata struct {
		Error struct {
			Code string `json:"code"`
		} `json:"odata.error"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&odata) == nil {
		p.code = strings.TrimSpace(odata.Error.Code)
	}
	return p
}

func firstRefusal(parts []part) *part {
	for i := range parts {
		if parts[i].status >= 400 {
			return &parts[i]
		}
	}
	return nil
}
