package policy

import (
	"net"
	"net/mail"
	"slices"
	"strconv"
	"strings"
)

// fieldKinds are the fields that only some kinds of channel have.
func fieldKinds() map[string][]string {
	return map[string][]string{
		"region":  {kindPagerDuty},
		"channel": {kindSlack},
		"user":    {kindEmail, kindAlertmanager, kindWebhook},
		"server":  {kindEmail},
		"tls":     {kindEmail},
		"from":    {kindEmail},
		"to":      {kindEmail},

		"recipe": {kindWebhook}, "with": {kindWebhook}, "auth": {kindWebhook}, "header": {kindWebhook}, "audience": {kindWebhook},
		"id": {kindWebhook}, "body": {kindWebhook}, "find": {kindWebhook}, "requests": {kindWebhook},
	}
}

// checkFields reports fields that the channel's kind does not have: what is ignored in
// silence is believed to be in force.
func checkFields(n node, c Channel, found map[string]bool) {
	for _, name := range sortedKeys(fieldKinds()) {
		kinds := fieldKinds()[name]
		if found[name] && c.Kind != "" && !slices.Contains(kinds, c.Kind) {
			n.problem("has a field %s, which only %s has", name, strings.Join(kinds, " and "))
		}
	}
}

// checkMail: an unencrypted way is not offered.
func checkMail(n node, found map[string]bool) {
	n.require(found, "server", "server: HOST:PORT, such as smtp.example.com:587")
	n.require(found, "from", "from: the sender's address")
	n.require(found, "to", "to: [address]")
	if found["user"] != found["secretRef"] {
		n.problem("has one of user and secretRef: want both, or neither for a server that asks for no password")
	}
	if found["url"] {
		n.problem("has a url: want server: HOST:PORT")
	}
}

// readServer takes HOST:PORT.
func readServer(n node) string {
	s := n.text()
	if s == "" {
		return ""
	}
	host, port, err := net.SplitHostPort(s)
	number, numeric := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || numeric != nil || number == 0 || strings.ContainsAny(host, "/@ ") {
		n.problem("is not HOST:PORT: want such as smtp.example.com:587 (STARTTLS) or smtp.example.com:465 (TLS from the start)")
		return ""
	}
	return s
}

func readTLS(n node) string {
	s := n.text()
	if s != "" && s != "starttls" && s != "implicit" {
		n.problem("%q is no way to encrypt: want starttls (the default, but on port 465) or implicit", clip(s))
		return ""
	}
	return s
}

// readAddress takes one mail address, with or without a name.
func readAddress(n node) string {
	s := n.text()
	if s == "" {
		return ""
	}
	a, err := mail.ParseAddress(s)
	if err != nil || strings.ContainsAny(s, "\r\n") || !isPlain(a.Address) {
		n.problem("%q is no mail address: want name@example.com", clip(s))
		return ""
	}
	return s
}

// isPlain: addresses beyond ASCII need an extension that not every server has.
func isPlain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// mostRecipients is what every server takes at least (RFC 5321 4.5.3.1.8).
const mostRecipients = 100

func readAddresses(n node) []string {
	var out []string
	for _, item := range n.items() {
		if s := readAddress(item); s != "" {
			out = append(out, s)
		}
	}
	if len(out) > mostRecipients {
		n.problem("names %d recipients: want at most %d; a list of the mail server holds more", len(out), mostRecipients)
	}
	return out
}

// Kinds are the kinds of channel, in the order in which people think of them.
func Kinds() []string {
	return []string{kindPagerDuty, kindTeams, kindSlack, kindEmail, kindWebhook, kindEventGrid, kindAlertmanager, kindConsole}
}
