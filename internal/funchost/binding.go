package funchost

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"

	"cmkguard/internal/fault"
)

// ErrShape marks an envelope or binding that is not as the host writes them.
// The server gives such a body to OnPoison. Errors that wrap it are Invalid.
var ErrShape = errors.New("not as the Functions host writes it")

// maxWraps is how many JSON strings may stand around a value. The host wraps
// a string twice at most (string of a string); one more is generosity, and
// the bound keeps a hostile message from being unwrapped for ever.
const maxWraps = 3

func shape(op, format string, args ...any) error {
	return fault.New(fault.Invalid, op, format+": %w", append(args, ErrShape)...)
}

// decode returns the envelope's Data. Metadata is scanned past and dropped.
func decode(body []byte) (map[string]json.RawMessage, error) {
	const op = "funchost.decode"
	var envelope struct{ Data map[string]json.RawMessage }
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, shape(op, "envelope of %d bytes: %s", len(body), jsonProblem(err))
	}
	if len(envelope.Data) == 0 {
		return nil, shape(op, "envelope of %d bytes has no Data", len(body))
	}
	return envelope.Data, nil
}

// Object returns the JSON object or array of a binding (eventGridTrigger,
// timerTrigger): as it stands, or as the text of a string, which is how the
// host sends arrays and undeclared types. Anything else is an ErrShape.
func (inv *Invocation) Object(name string) (json.RawMessage, error) {
	const op = "funchost.Object"
	v, ok := inv.Data[name]
	if !ok {
		return nil, shape(op, "no binding %q", name)
	}
	for range maxWraps + 1 {
		v = bytes.TrimLeft(v, " \t\r\n")
		switch first(v) {
		case '{', '[':
			if !json.Valid(v) {
				return nil, shape(op, "binding %q: text that is no JSON", name)
			}
			return v, nil
		case '"':
			var text string
			if err := json.Unmarshal(v, &text); err != nil {
				return nil, shape(op, "binding %q: %s", name, jsonProblem(err))
			}
			v = json.RawMessage(text)
		default:
			return nil, shape(op, "binding %q is no object, array or text of one", name)
		}
	}
	return nil, shape(op, "binding %q is wrapped in more than %d strings", name, maxWraps)
}

// Bytes returns the exact bytes of a queue message: base64 where function.json
// says dataType binary, and the text of the string of a string that the host
// sends without it. The two cannot be mixed up: base64 has no quote. The text
// is unwrapped once only, so a message that is itself a JSON string stays it.
func (inv *Invocation) Bytes(name string) ([]byte, error) {
	const op = "funchost.Bytes"
	v, ok := inv.Data[name]
	if !ok {
		return nil, shape(op, "no binding %q", name)
	}
	var text string
	if first(v) != '"' || json.Unmarshal(v, &text) != nil {
		return nil, shape(op, "binding %q is no string", name)
	}
	if len(text) > 0 && text[0] == '"' {
		var inner string
		if err := json.Unmarshal([]byte(text), &inner); err != nil {
			return nil, shape(op, "binding %q, string of a string: %s", name, jsonProblem(err))
		}
		return []byte(inner), nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, shape(op, "binding %q: %v", name, err)
	}
	return b, nil
}

func first(v []byte) byte {
	if len(v) == 0 {
		return 0
	}
	return v[0]
}

// jsonProblem says what is wrong without quoting the body: encoding/json puts
// at most a type name and one character into its messages.
func jsonProblem(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Error()
	}
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		return "JSON " + typed.Value + " where " + typed.Type.Kind().String() + " belongs"
	}
	return "not JSON"
}
