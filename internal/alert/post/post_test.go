package post_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cmkguard/internal/alert/post"
	"cmkguard/internal/fault"
)

func start() time.Time { return time.Date(2026, 9, 20, 10, 0, 0, 0, time.UTC) }

// refused is the error that a receiver's answer leads to.
func refused(t *testing.T, answer string) error {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(srv.Close)
	c, err := post.New("test", srv.URL+"/hooks/SECRETPATH?sig=SECRETSIG", start)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Send(context.Background(), []byte("{}"), http.Header{"Authorization": {"Bearer SECRETTOKEN"}})
	return err
}

// The receiver's own words are told where it keeps them, and nothing that opens its
// door, nor a page.
func TestTheReceiversWords(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"invalid_blocks": ": invalid_blocks",
		`{"status":"invalid event","message":"Event object is invalid","errors":["'payload.summary' is missing or blank"]}`: ": Event object is invalid; 'payload.summary' is missing or blank",
		`{"errorMessages":["CONTENT_LIMIT_EXCEEDED"],"errors":{}}`:                                                          ": CONTENT_LIMIT_EXCEEDED",
		`{"errorMessages":[],"errors":{"project":"valid project is required"}}`:                                             ": project: valid project is required",
		`{"message":"Request body is not processable.","took":0.1,"requestId":"x"}`:                                         ": Request body is not processable.",
		`{"error":{"code":"InvalidStream","message":"The stream was not configured in the DCR"}}`:                           ": The stream was not configured in the DCR",
		`{"error":{"message":"User Not Authenticated","detail":"Required to provide Auth information"},"status":"failure"}`: ": User Not Authenticated; Required to provide Auth information",
		`"start time must be before end time"`:                                                                              ": start time must be before end time",
		`{"message":"no hook SECRETPATH"}`:                                                                                  "400 Bad Request",
		`{"message":"sig SECRETSIG is old"}`:                                                                                "400 Bad Request",
		`"token SECRETTOKEN"`:                                                                                               "400 Bad Request",
		"<html>sign in</html>":                                                                                              "400 Bad Request",
		`{"message":"` + strings.Repeat("x", 500) + `"}`:                                                                    "xxx...",
		"{\"message\":\"a\\u001b[2Jb\"}":                                                                                    ": a [2Jb",
		`{"deep":{"deeper":1}}`:                                                                                             "400 Bad Request",
		`{`:                                                                                                                 "400 Bad Request",
	} {
		err := refused(t, answer)
		if !fault.Is(err, fault.Invalid) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%.80s: %v, want ...%s", answer, err, want)
		}
		for _, secret := range []string{"SECRETPATH", "SECRETSIG", "SECRETTOKEN"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", secret, err)
			}
		}
	}
}

// A path cannot lead to another host.
func TestAPathStaysBehindTheHost(t *testing.T) {
	t.Parallel()
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Method + " " + r.RequestURI }))
	t.Cleanup(srv.Close)
	c, err := post.New("test", srv.URL+"/base/", start)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a/b?c=1": "PUT /base/a/b?c=1", "//evil.example/": "PUT /base//evil.example/", "@evil.example": "", ".evil.example": ""} {
		got = ""
		_, err := c.Do(context.Background(), post.Request{Method: http.MethodPut, Path: path, Header: http.Header{}})
		if got != want || (want == "") != fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %q %v", path, got, err)
		}
	}
}
