package app

import (
	"strings"
	"testing"
)

// A connection string that is taken is whole; one that is not says what to set,
// without a word of its key.
func FuzzParseConnection(f *testing.F) {
	const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1"
	for _, s := range []string{
		"UseDevelopmentStorage=true", "usedevelopmentstorage = TRUE ;", "AccountName=a;AccountKey=" + key + "==;BlobEndpoint=http://127.0.0.1:1/a;QueueEndpoint=http://127.0.0.1:2/a;TableEndpoint=http://127.0.0.1:3/a",
		"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + key + ";EndpointSuffix=core.windows.net", "AccountName=", ";;==;", "", "AccountKey=" + key,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, problem := parseConnection(text)
		if problem == "" && (s.Account == "" || s.Key == "" || s.Blobs == "" || s.Queues == "" || s.Tables == "") {
			t.Fatalf("%q: %+v", text, s)
		}
		if problem != "" && (!strings.Contains(problem, connection) || s.Key != "" && len(s.Key) > 12 && strings.Contains(problem, s.Key)) {
			t.Fatalf("%q: %s", text, problem)
		}
	})
}

func TestLogsNameUsByOurClientIDs(t *testing.T) {
	t.Parallel()
	got := strings.Join(ourselves(Settings{Observer: "AAAA-1", Remediator: "bbbb-2"}), " ")
	if got != "aaaa-1 bbbb-2" || len(ourselves(Settings{})) != 0 {
		t.Errorf("%q", got)
	}
}
