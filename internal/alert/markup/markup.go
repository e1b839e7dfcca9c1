// Package markup keeps text that comes from events text in each receiver's markup. It
// knows no message.
package markup

import (
	"encoding/json"
	"strings"
)

// Plain leaves text as it is: for receivers without markup.
func Plain(s string) string { return s }

// Slack escapes what would become a mention or a link
// (docs.slack.dev/messaging/formatting-message-text#escaping).
func Slack(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}

// Card escapes the part of Markdown that Adaptive Cards read
// (learn.microsoft.com adaptive-cards/authoring-cards/text-features).
func Card(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, "(", `\(`, ")", `\)`, "*", `\*`, "_", `\_`, "`", "\\`", "~", `\~`, "<", "&lt;").Replace(s)
}

// JSON escapes text for the inside of a JSON string.
func JSON(s string) string {
	raw, err := json.Marshal(s)
	if err != nil {
		return "" // a string cannot fail
	}
	return string(raw[1 : len(raw)-1])
}
