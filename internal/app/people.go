package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"cmkguard/internal/approval"
	"cmkguard/internal/approval/entra"
	"cmkguard/internal/azure/cloud"
	"cmkguard/internal/fault"
	"cmkguard/internal/guard"
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
	v, err := prover(profile, s)
	if err != nil {
		return approval.Person{}, err
	}
	token, err := tokenOf(ctx, p, profile, s)
	if err != nil {
		return approval.Person{}, err
	}
	return v.Person(ctx, token)
}

func prover(profile cloud.Profile, s Settings) (*entra.Verifier, error) {
	return entra.New(entra.Options{
		Authority: profile.Authority, Tenant: s.Approvals.Tenant, Audience: s.Approvals.Audience,
		HTTP: profile.HTTPClient(), Now: profile.Clock(),
	})
}

func tokenOf(ctx context.Context, p Process, profile cloud.Profile, s Settings) (string, error) {
	if token := p.Env("CMKGUARD_APPROVER_TOKEN"); token != "" {
		return token, nil
	}
	return ownToken(ctx, profile, s)
}

// desk joins the guard with the proof of who asks, for the approvals function.
type desk struct {
	*guard.Guard
	w *world
}

// Prove implements approvals.Desk. The mark is a seal over person, plan and day.
func (d desk) Prove(ctx context.Context, token, plan string) (approval.Person, string, error) {
	if d.w.prover == nil {
		return approval.Person{}, "", d.w.noProof
	}
	who, err := d.w.prover.Person(ctx, token)
	if err != nil {
		return who, "", err
	}
	day := d.Now().UTC().Truncate(24 * time.Hour)
	mark, err := d.People.Close(approval.Decision{Matter: "page~" + plan, By: approval.Person{Object: who.Object}, Expires: day})
	return who, mark.Seal, err
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

// decideThere has the running app take the decision in: with state in a storage
// account, whoever decides holds neither rights on the account nor the key that
// seals decisions.
func decideThere(ctx context.Context, p Process, s Settings, id string, kind approval.Kind, reason string) error {
	base, err := url.Parse(s.PublicURL)
	if err != nil || base.Scheme != "https" && base.Hostname() != "localhost" && base.Hostname() != "127.0.0.1" {
		return exitError{exitUsage, fmt.Errorf("CMKGUARD_PUBLIC_URL is %q: want the https URL of the function app, which takes decisions in", s.PublicURL)}
	}
	profile, err := cloud.Load(s.Cloud)
	if err != nil {
		return exitError{exitUsage, fmt.Errorf("CMKGUARD_CLOUD=%s: %w", s.Cloud, err)}
	}
	token, err := tokenOf(ctx, p, profile, s)
	if err != nil {
		return exitError{exitFailed, err}
	}
	body, err := json.Marshal(map[string]string{"decision": string(kind), "reason": reason})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base.JoinPath("api/approvals", id).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := profile.HTTPClient().Do(req)
	if err != nil {
		return exitError{exitFailed, err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || resp.StatusCode != http.StatusOK {
		return exitError{exitFailed, errors.Join(fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text))), err)}
	}
	_, err = fmt.Fprintf(p.Stdout, "%s: taken in by %s\n", kind, base.Host)
	return err
}
