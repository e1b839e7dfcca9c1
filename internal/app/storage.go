package app

import (
	"fmt"
	"strings"
)

// Storage is the storage account of CMKGUARD_STATE=azure, in the Functions
// host's own form of a connection (learn.microsoft.com azure-functions/
// functions-reference#configure-an-identity-based-connection), so that the host's
// queue trigger and we share the settings.
type Storage struct {
	Tables, Queues, Blobs string // service URLs; empty: from the account's name
	Account               string
	ClientID              string // of a user-assigned identity; "" is the observer's
	Key                   string // the emulator's, from a connection string
}

// connection is the prefix of the account's settings, as function.json names it.
const connection = "CMKGUARD_STORAGE"

// readStorage returns the account and what is wrong with its settings.
func readStorage(env func(string) string) (s Storage, problem string) {
	if text := env(connection); text != "" {
		return parseConnection(text)
	}
	s = Storage{
		Account: env(connection + "__accountName"), ClientID: env(connection + "__clientId"),
		Tables: env(connection + "__tableServiceUri"), Queues: env(connection + "__queueServiceUri"), Blobs: env(connection + "__blobServiceUri"),
	}
	if s.Account == "" && (s.Tables == "" || s.Queues == "" || s.Blobs == "") {
		return s, fmt.Sprintf("CMKGUARD_STATE is azure: set %[1]s__accountName, or all of %[1]s__tableServiceUri, __queueServiceUri and __blobServiceUri", connection)
	}
	return s, ""
}

// The emulator's account, which everybody knows (learn.microsoft.com
// storage/common/storage-use-azurite).
const (
	emulator    = "devstoreaccount1"
	emulatorKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// parseConnection reads a connection string. One with a key is for the emulator
// only, which azstore sees to.
func parseConnection(text string) (s Storage, problem string) {
	fields := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if name, value, ok := strings.Cut(part, "="); ok {
			fields[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	if strings.EqualFold(fields["usedevelopmentstorage"], "true") {
		at := func(port int) string { return fmt.Sprintf("http://127.0.0.1:%d/%s", port, emulator) }
		return Storage{Account: emulator, Key: emulatorKey, Blobs: at(10000), Queues: at(10001), Tables: at(10002)}, ""
	}
	s = Storage{
		Account: fields["accountname"], Key: fields["accountkey"],
		Tables: fields["tableendpoint"], Queues: fields["queueendpoint"], Blobs: fields["blobendpoint"],
	}
	if s.Account == "" || s.Key == "" || s.Tables == "" || s.Queues == "" || s.Blobs == "" {
		return s, connection + " is a connection string without AccountName, AccountKey, BlobEndpoint, QueueEndpoint and TableEndpoint: " +
			"for the emulator name them all; for a storage account remove it and set " + connection + "__accountName, with an identity and no key"
	}
	return s, ""
}

// endpoints fills in the service URLs of a named account.
func (s Storage) endpoints(suffix string) Storage {
	at := func(given, service string) string {
		if given != "" {
			return strings.TrimSuffix(given, "/")
		}
		return "https://" + s.Account + "." + service + suffix
	}
	s.Tables, s.Queues, s.Blobs = at(s.Tables, "table"), at(s.Queues, "queue"), at(s.Blobs, "blob")
	return s
}
