package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
	"cmkguard/internal/journal"
	"cmkguard/internal/store"
	"cmkguard/internal/store/azstore"
	"cmkguard/internal/store/filestore"
)

// openTimeout bounds the first calls to a storage account.
const openTimeout = 25 * time.Second

// openBackend opens the store that the settings name.
func openBackend(ctx context.Context, s Settings, profile cloud.Profile, now func() time.Time) (b store.Backend, closer func() error, err error) {
	if s.Storage == nil {
		st, err := filestore.Open(s.StateDir, now)
		if err != nil {
			return b, nil, fmt.Errorf("CMKGUARD_STATE=file:%s: %w", s.StateDir, err)
		}
		return st.Backend(), st.Close, nil
	}
	o, err := accountOf(s, profile)
	if err != nil {
		return b, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	b, err = azstore.Open(ctx, o)
	if err != nil {
		return b, nil, fmt.Errorf("CMKGUARD_STATE=azure, %s: %w", o.Tables, err)
	}
	return b, func() error { return nil }, nil
}

// accountOf says how the storage account of the settings is reached, and as whom.
func accountOf(s Settings, profile cloud.Profile) (azstore.Options, error) {
	where := s.Storage.endpoints(profile.StorageSuffix)
	o := azstore.Options{Tables: where.Tables, Queues: where.Queues, Blobs: where.Blobs}
	if where.Key != "" {
		o.Key = &azstore.SharedKey{Account: where.Account, Key: where.Key}
		return o, nil
	}
	id := where.ClientID
	if id == "" {
		id = s.Observer
	}
	cred, err := profile.Credential(id)
	if err != nil {
		return o, fmt.Errorf("%s__clientId: %w", connection, err)
	}
	o.Credential, o.Client = cred, profile.ClientOptions(cloud.ReadRetry())
	return o, nil
}

// journalKey returns the signer of checkpoints and its verifier key. With
// embedded state it is made on first use; instances that share an account must
// be given one.
func journalKey(s Settings) (note.Signer, string, error) {
	switch {
	case strings.HasPrefix(s.JournalKey, "-----BEGIN"):
		return journal.ParseKey([]byte(s.JournalKey))
	case s.JournalKey == "" && s.Storage != nil:
		return nil, "", fault.New(fault.Invalid, "app.journalKey",
			"CMKGUARD_JOURNAL_KEY is not set: with CMKGUARD_STATE=azure give it an ECDSA P-256 key as PKCS#8 PEM (openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256), as a Key Vault reference or the path of a file")
	}
	return journal.LoadOrCreateKey(journalKeyPath(s), rand.Reader)
}

// readJournalKey is journalKey for a reader, who makes no key.
func readJournalKey(s Settings) (verifier string, err error) {
	if strings.HasPrefix(s.JournalKey, "-----BEGIN") || s.JournalKey == "" && s.Storage != nil {
		_, verifier, err = journalKey(s)
		return verifier, err
	}
	return journal.VerifierOf(journalKeyPath(s))
}

// journalKeyPath is where the local signing key lies.
func journalKeyPath(s Settings) string {
	if s.JournalKey != "" {
		return s.JournalKey
	}
	return filepath.Join(s.StateDir, "journal-key.pem")
}

// unsealed stands in for the sequencer where there is no key: entries wait.
type unsealed struct{ why error }

// Fold implements guard.Sequencer.
func (u unsealed) Fold(context.Context) (journal.Checkpoint, error) {
	return journal.Checkpoint{}, u.why
}

// opened is the state that a command looks at.
type opened struct {
	store.Backend
	settings Settings
	close    func() error
}

// openState opens the state of the settings, or the embedded one in dir.
func openState(ctx context.Context, p Process, dir string) (*opened, error) {
	s, fatal, _ := readSettings(p.Env)
	if dir != "" {
		s.StateDir, s.Storage = dir, nil
	} else if len(fatal) > 0 {
		return nil, exitError{exitUsage, fmt.Errorf("--state is not given and %s", fatal[0])}
	}
	if s.Storage == nil {
		if _, err := os.Stat(s.StateDir); err != nil {
			return nil, exitError{exitFailed, err}
		}
	}
	profile, err := cloud.Load(s.Cloud)
	if err != nil && s.Storage != nil {
		return nil, exitError{exitUsage, fmt.Errorf("CMKGUARD_CLOUD=%s: %w", s.Cloud, err)}
	}
	b, closer, err := openBackend(ctx, s, profile, time.Now)
	if err != nil {
		return nil, exitError{exitFailed, err}
	}
	return &opened{b, s, closer}, nil
}
