package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"cmkguard/internal/approval"
	"cmkguard/internal/approval/entra"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
)

const approvalKeyFile = "approval.key"

// peopleSeal returns the seal of decisions. With embedded state the key lies beside
// it, in a file of its own that only its owner reads, and is made at first use; an
// account's writers must not hold it, so there it is a setting; without it nobody
// can approve.
func peopleSeal(s Settings) (approval.Seal, error) {
	text := s.Approvals.Key
	if text == "" && s.Storage != nil {
		return approval.Seal{}, nil // no decision counts then, and none can be made: what needs one waits
	}
	if text == "" {
		file := filepath.Join(s.StateDir, approvalKeyFile)
		raw, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			raw, err = newApprovalKey(file)
		}
		if err != nil {
			return approval.Seal{}, fmt.Errorf("approval key: %w", err)
		}
		text = string(raw)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return approval.Seal{}, errors.New("CMKGUARD_APPROVAL_KEY is not base64: want 32 random bytes (openssl rand -base64 32)")
	}
	return approval.NewSeal(key)
}

// newApprovalKey writes a key unless another process has just done so.
func newApprovalKey(file string) ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	text := []byte(base64.StdEncoding.EncodeToString(key) + "\n")
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.ReadFile(file)
	}
	if err != nil {
		return nil, err
	}
	_, err = f.Write(text)
	return text, errors.Join(err, f.Close())
}

// whoDecides proves who runs the command by an Entra token: that of
// CMKGUARD_APPROVER_TOKEN, or one that the person's own sign-in gives (az login).
func whoDecides(ctx context.Context, p Process, profile cloud.Profile, s Settings) (approval.Person, error) {
	v, err := entra.New(entra.Options{
		Authority: profile.Authority, Tenant: s.Approvals.Tenant, Audience: s.Approvals.Audience,
		HTTP: profile.HTTPClient(), Now: profile.Clock(),
	})
	if err != nil {
		return approval.Person{}, err
	}
	token := p.Env("CMKGUARD_APPROVER_TOKEN")
	if token == "" {
		if token, err = ownToken(ctx, profile, s); err != nil {
			return approval.Person{}, err
		}
	}
	return v.Person(ctx, token)
}

func ownToken(ctx context.Context, profile cloud.Profile, s Settings) (string, error) {
	cred, err := profile.Person()
	if err != nil {
		return "", err
	}
	t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{s.Approvals.Audience + "/.default"}, TenantID: s.Approvals.Tenant})
	if err != nil {
		return "", fault.New(fault.Denied, "app.ownToken", "no token for %s: sign in with az login, or set CMKGUARD_APPROVER_TOKEN: %w", s.Approvals.Audience, err)
	}
	return t.Token, nil
}
