package alerttest

import (
	"encoding/json"
	"net/http"
	"strings"
)

type teamsElement struct {
	Type, Text, Color, FontType string
	Wrap                        bool
	Facts                       []struct{ Title, Value string }
	Items                       []teamsElement
}

type teamsMessage struct {
	Type        string
	Attachments []struct {
		ContentType string
		Content     struct {
			Type, Version string
			Body          []teamsElement
			Actions       []struct{ Type, Title, URL string }
		}
	}
}

// Teams is a Workflows webhook ("When a Teams webhook request is received"): it
// takes a message with Adaptive Cards and answers 202
// (learn.microsoft.com microsoftteams/platform/webhooks-and-connectors/how-to/
// connectors-using). A message holds about 28 KB, and more is answered "Request
// Entity too large" (learn.microsoft.com connectors/teams, known issues). A card
// shows six actions at most (.../task-modules-and-cards/cards/cards-reference).
// More than four requests a second are throttled (.../how-to/add-incoming-webhook).
func Teams() Provider {
	return Provider{
		Name: "teams", OK: http.StatusAccepted, Busy: `{"error":{"code":"WorkflowTriggerIsThrottled","message":"Rate limit is exceeded."}}`,
		Refuse: func(_ *http.Request, body []byte) *Refusal {
			var m teamsMessage
			if len(body) > 28<<10 {
				return no(http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Request Entity too large")
			}
			bad := func(what string) *Refusal {
				return no(http.StatusBadRequest, "TriggerInputSchemaMismatch", "The input body for trigger 'manual' of type 'Request' did not match its schema definition: "+what)
			}
			if err := json.Unmarshal(body, &m); err != nil || m.Type != "message" || len(m.Attachments) != 1 {
				return bad("one attachment of a message")
			}
			card := m.Attachments[0]
			switch {
			case card.ContentType != "application/vnd.microsoft.card.adaptive":
				return bad("contentType")
			case card.Content.Type != "AdaptiveCard" || card.Content.Version == "" || len(card.Content.Body) == 0:
				return bad("content")
			case len(card.Content.Actions) > 6:
				return bad("actions")
			}
			for _, a := range card.Content.Actions {
				if a.Type != "Action.OpenUrl" || !isWeb(a.URL) || a.Title == "" {
					return bad("an action")
				}
			}
			return nil
		},
		Refusal: func(w http.ResponseWriter, status int, code, message string) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"code": code, "message": message}})
		},
	}
}

// SeenInTeams is what a card shows: Markdown's escapes are read, as Teams does.
func SeenInTeams(body []byte) string {
	var m teamsMessage
	if json.Unmarshal(body, &m) != nil || len(m.Attachments) == 0 {
		return ""
	}
	var b strings.Builder
	seen(&b, m.Attachments[0].Content.Body)
	for _, a := range m.Attachments[0].Content.Actions {
		b.WriteString(a.Title + " " + a.URL + "\n")
	}
	out := b.String()
	for _, c := range "\\[]()*_`~#" {
		out = strings.ReplaceAll(out, "\\"+string(c), string(c))
	}
	return strings.ReplaceAll(out, "&lt;", "<")
}

func seen(b *strings.Builder, elements []teamsElement) {
	for _, e := range elements {
		if e.Text != "" {
			b.WriteString(e.Text + "\n")
		}
		for _, f := range e.Facts {
			b.WriteString(f.Title + " " + f.Value + "\n")
		}
		seen(b, e.Items)
	}
}

// TeamsColour is that of the card's first text.
func TeamsColour(body []byte) string {
	var m teamsMessage
	if json.Unmarshal(body, &m) != nil || len(m.Attachments) == 0 {
		return ""
	}
	for _, e := range m.Attachments[0].Content.Body {
		if e.Color != "" {
			return e.Color
		}
		for _, i := range e.Items {
			if i.Color != "" {
				return i.Color
			}
		}
	}
	return ""
}
