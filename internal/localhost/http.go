package localhost

import (
	"bytes"
	"encoding/json"
)

// Pair is a name and a value; lists of pairs keep the sender's order.
type Pair struct{ Name, Value string }

// HTTPRequest is a request to an HTTP function.
type HTTPRequest struct {
	URL, Method string // the whole URL
	Query       []Pair
	Headers     []Pair
	Params      []Pair // of the route
	Body        []byte // nil: the request has none
}

// ordered is a JSON object whose members keep their order.
type ordered []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (o ordered) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := encode("", m.name)
		if err != nil {
			return nil, err
		}
		value, err := encode("", m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// identity is what the host writes for a caller that App Service did not sign in.
type identity struct {
	AuthenticationType, Actor, BootstrapContext, Label, Name *string

	IsAuthenticated              bool
	Claims                       []string
	NameClaimType, RoleClaimType string
}

func (i identity) members() ordered {
	return ordered{
		{"AuthenticationType", i.AuthenticationType}, {"IsAuthenticated", i.IsAuthenticated}, {"Actor", i.Actor}, {"BootstrapContext", i.BootstrapContext},
		{"Claims", i.Claims}, {"Label", i.Label}, {"Name", i.Name}, {"NameClaimType", i.NameClaimType}, {"RoleClaimType", i.RoleClaimType},
	}
}

// HTTPEnvelope returns the body of an httpTrigger's invocation. It holds every
// header twice, the caller's token among them: it may be neither logged nor
// stored. Members of a JSON body and of the query stand in Metadata as texts;
// what the host makes of numbers and nested values there is not documented, and
// nothing reads it.
func HTTPEnvelope(c Call, binding string, r HTTPRequest) ([]byte, error) {
	nobody := identity{Claims: []string{}, NameClaimType: "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
		RoleClaimType: "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}
	req := ordered{
		{"Url", r.URL}, {"Method", r.Method}, {"Query", once(r.Query)}, {"Headers", lists(r.Headers)}, {"Params", once(r.Params)},
		{"Identities", []ordered{nobody.members()}},
	}
	metadata := ordered{}
	if r.Body != nil {
		req = append(req, member{"Body", string(r.Body)})
		metadata = append(metadata, topLevel(r.Body)...)
	}
	for _, p := range r.Query {
		metadata = append(metadata, member{p.Name, text(p.Value)})
	}
	metadata = append(metadata, member{"Query", once(r.Query)}, member{"Headers", once(r.Headers)}, member{"sys", c.sys()})
	return encode("localhost.HTTPEnvelope", ordered{{"Data", ordered{{binding, req}}}, {"Metadata", metadata}})
}

func once(pairs []Pair) ordered {
	out := ordered{}
	for _, p := range pairs {
		out = append(out, member{p.Name, p.Value})
	}
	return out
}

func lists(pairs []Pair) ordered {
	out := ordered{}
	for _, p := range pairs {
		out = append(out, member{p.Name, []string{p.Value}})
	}
	return out
}

// topLevel lists the members of a JSON object as the host's texts.
func topLevel(body []byte) ordered {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var out ordered
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return out
		}
		var v any
		if dec.Decode(&v) != nil {
			return out
		}
		key, _ := name.(string)
		out = append(out, member{key, text(dotNet(v))})
	}
	return out
}

// dotNet is .NET's text of a scalar: True, not true.
func dotNet(v any) any {
	switch b, ok := v.(bool); {
	case !ok:
		return v
	case b:
		return "True"
	}
	return "False"
}
