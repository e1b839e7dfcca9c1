// Package canonical encodes values as JSON in one byte form, so that a hash of
// it can be compared later and elsewhere: Go's encoding/json with fields in
// declaration order, map keys sorted, no HTML escapes, no trailing newline.
// Values hold no floats (their text form is not portable); times are UTC.
//
// It is not RFC 8785: readers verify the stored bytes, they never re-encode.
package canonical

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// JSON returns the canonical bytes of v.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("canonical.JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Hash returns the lower-case hex SHA-256 of b.
func Hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
