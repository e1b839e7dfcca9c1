package cloud

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"cmkguard/internal/fault"
)

// Outside returns what gives tokens of the identity for a receiver of alerts: an
// application of the user's own (api://...), or Azure Monitor's ingestion
// (learn.microsoft.com azure/azure-monitor/logs/logs-ingestion-api-overview). Any other
// audience is Invalid, for services have more names than one knows, and a token for
// Key Vault or Resource Manager would hand the receiver all that the identity may do.
func (p Profile) Outside(clientID, audience string) (func(ctx context.Context) (string, error), error) {
	const op = "cloud.Outside"
	scope := strings.TrimSuffix(audience, "/") + "/.default"
	switch {
	case strings.HasPrefix(audience, "api://") && len(audience) > len("api://"):
	case scope == "https://monitor.azure.com/.default", scope == "https://monitor.azure.us/.default", scope == "https://monitor.azure.cn/.default":
	default:
		return nil, fault.New(fault.Invalid, op, "a token for %q is not for a receiver of alerts", audience)
	}
	cred, err := p.Credential(clientID)
	if err != nil {
		return nil, err
	}
	inner := cred
	if g, ok := cred.(guarded); ok {
		inner = g.next
	}
	return func(ctx context.Context) (string, error) {
		t, err := inner.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return "", fault.Wrap(fault.Denied, op, err)
		}
		return t.Token, nil
	}, nil
}
