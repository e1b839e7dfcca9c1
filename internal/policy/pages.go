package policy

import "net/url"

// readPageURL takes the address of pages that people read, without anything that
// could be a secret: it stands in every alert. It may end in a fragment's #.
func readPageURL(n node) string {
	s := n.text()
	if s == "" {
		return ""
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		n.problem("is no https URL of a page: want https://HOST/PATH, to which the check is added (cmk-010)")
	case u.User != nil || hasSecretParameter(u):
		n.problem("holds a secret, and would stand in every alert: want the URL without it")
	default:
		return s
	}
	return ""
}
