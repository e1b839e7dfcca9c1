// Package teams sends alerts to Microsoft Teams through a Workflows webhook, as
// Adaptive Cards.
package teams

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/atc0005/go-teams-notify/v2/adaptivecard"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/post"
	"cmkguard/internal/fault"
	"cmkguard/internal/risk"
)

// maxCard is the size of a message (learn.microsoft.com microsoftteams/platform/
// webhooks-and-connectors: 28 KB), less the frame that a workflow adds.
const maxCard = 26 << 10

// Channel posts to one workflow. It is safe for concurrent use.
type Channel struct{ to *post.Client }

var _ alert.Channel = (*Channel)(nil)

// New returns a Channel. The workflow's URL holds its signature and is a secret:
// errors never repeat it.
func New(secretURL string, now func() time.Time) (*Channel, error) {
	to, err := post.New("teams.Send", secretURL, now)
	return &Channel{to}, err
}

// Send implements alert.Channel. A workflow tells no id; the provider's id is the
// alert's.
func (c *Channel) Send(ctx context.Context, a alert.Alert) (string, error) {
	body, err := card(a)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "teams.Send", err)
	}
	if _, err := c.to.Send(ctx, body, http.Header{"Content-Type": {"application/json"}}); err != nil {
		return "", err
	}
	return a.ID, nil
}

// card is the message; what does not fit is left out from the end, where the ids
// and the evidence are.
func card(a alert.Alert) ([]byte, error) {
	fields := alert.Fields(a, a.At)
	for {
		body, err := cardOf(a, fields)
		if err != nil || len(body) <= maxCard || len(fields) == 0 {
			return body, err
		}
		fields = fields[:len(fields)-1]
	}
}

func cardOf(a alert.Alert, fields []alert.Field) ([]byte, error) {
	title := adaptivecard.NewTitleTextBlock(escape(alert.Head(a)), true)
	title.Color = colour(a)
	facts := adaptivecard.NewFactSet()
	for _, f := range fields {
		if err := facts.AddFact(adaptivecard.Fact{Title: f.Label, Value: escape(f.String())}); err != nil {
			return nil, err
		}
	}
	c := adaptivecard.NewCard()
	c.SetFullWidth()
	elements := []adaptivecard.Element{title}
	if len(fields) > 0 {
		elements = append(elements, adaptivecard.Element(facts))
	}
	if err := c.AddElement(false, elements...); err != nil {
		return nil, err
	}
	m, err := adaptivecard.NewMessageFromCard(c)
	if err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

// escape keeps text from becoming a link or a style: cards read a part of
// Markdown (learn.microsoft.com adaptive-cards/authoring-cards/text-features).
func escape(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, "*", `\*`, "_", `\_`, "`", "\\`", "~", `\~`, "<", "&lt;").Replace(s)
}

func colour(a alert.Alert) string {
	if a.Lifecycle == alert.Resolve {
		return adaptivecard.ColorGood
	}
	switch a.Severity {
	case risk.Critical, risk.High:
		return adaptivecard.ColorAttention
	case risk.Medium:
		return adaptivecard.ColorWarning
	case risk.Low, risk.Info:
	}
	return adaptivecard.ColorAccent
}
