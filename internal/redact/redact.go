// Package redact takes credentials out of bytes that are kept because nobody
// could read them: an HTTP function's envelope holds its caller's token twice,
// and one that reaches the wrong function becomes a poison record.
//
// It works on text, not on JSON: what is kept may be cut off in the middle.
package redact

import "regexp"

// Mark stands where a credential stood.
const Mark = "REDACTED"

// rule replaces what it finds by its own text, of which it keeps the groups.
type rule struct {
	find *regexp.Regexp
	with string
}

// rules in the order of their use: the headers that hold credentials whole, then
// what looks like a credential wherever it stands. Quotes may be escaped, as in a
// string of a string.
func rules() []rule {
	const quote, rest = `\\*"`, `(?:[^"\\]|\\+[^"\\])*`
	// The host writes a string's value as a string of a string. The inner quote has
	// one backslash more for each of the outer one's, and one for itself; by their
	// number it differs from the end of an empty value.
	const begin = `(?:"(?:\\")?|\\"(?:\\{3}")?|\\{3}"(?:\\{7}")?|\\*")`
	names := `authorization|proxy-authorization|cookie|set-cookie|x-functions-key|x-functions-clientid|x-zumo-auth|` +
		`x-ms-token-[a-z0-9-]+|x-ms-client-principal|x-arr-ssl|ocp-apim-subscription-key|x-identity-header|bootstrapcontext|access_token|id_token|refresh_token|client_secret`
	return []rule{
		{regexp.MustCompile(`(?i)(` + quote + `(?:` + names + `)` + quote + `\s*:\s*\[?\s*` + begin + `)` + rest), "${1}" + Mark},
		{regexp.MustCompile(`(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]+`), "${1}${2}" + Mark},
		// A token has dots between its parts (RFC 7515, section 3.1). Without one it is
		// any JSON in base64: every message of a queue and of an Event Hub in the host's
		// request begins so, and would be lost.
		{regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,4}`), Mark},
		// One that was cut off before its first dot is known by how its header begins:
		// alg, typ, kid, x5t, nonce, enc or cty (RFC 7515, section 4.1).
		{regexp.MustCompile(`\beyJ(?:hbGciOi|0eXAiOi|raWQiOi|4NXQiOi|ub25jZSI6|lbmMiOi|jdHkiOi)[A-Za-z0-9_-]*`), Mark},
		{regexp.MustCompile(`(?i)([?&](?:code|sig|access_token|id_token)=)[^&"'\\\s]+`), "${1}" + Mark},
		{regexp.MustCompile(`(?i)(` + quote + `code` + quote + `\s*:\s*\[?\s*` + begin + `)` + rest), "${1}" + Mark},
	}
}

// Bytes returns b with every credential replaced by Mark. b itself is not
// changed.
func Bytes(b []byte) []byte {
	out := b
	for _, r := range rules() {
		out = r.find.ReplaceAll(out, []byte(r.with))
	}
	return out
}
