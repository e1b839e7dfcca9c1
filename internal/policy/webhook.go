package policy

import (
	"embed"
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"cmkguard/internal/risk"
)

// Webhook says what a webhook sends in place of a signed CloudEvent, and how it proves
// who it is. Its zero value: the CloudEvent.
type Webhook struct {
	Recipe   string            // of those that ship; "" if the requests are the policy's own
	With     map[string]string // what the recipe asks for
	Auth     string            // one of the Auth words; "" is AuthSignature
	Header   string            // with Auth header: its name
	Audience string            // with Auth identity: whose token
	ID       string            // dotted path of the receiver's id in its answer
	Find     Find
	Requests []Request
}

// Request is one call to the webhook's URL, for alerts of some lifecycles. Path and
// Body are templates (internal/alert/templates).
type Request struct {
	On          []string
	MinSeverity risk.Severity
	When        string // WhenFound or WhenMissing; "": whatever the receiver has
	Method      string
	Path, Body  string
	PathLine    int // of the file that they stand in
	BodyLine    int
}

// The ways in which a webhook proves who it is.
const (
	AuthSignature = "signature" // Standard Webhooks: HMAC of the body under the secret
	AuthBasic     = "basic"     // user and secret
	AuthBearer    = "bearer"    // Authorization: Bearer SECRET
	AuthGenieKey  = "geniekey"  // Authorization: GenieKey SECRET (Opsgenie, JSM)
	AuthHeader    = "header"    // a header of its own
	AuthIdentity  = "identity"  // a token of the observer identity, for an audience
	AuthNone      = "none"
)

func auths() []string {
	return []string{AuthSignature, AuthBasic, AuthBearer, AuthGenieKey, AuthHeader, AuthIdentity, AuthNone}
}

func lifecycles() []string { return []string{"trigger", "update", "acknowledge", "resolve", "notice"} }

//go:embed recipes/*.yaml
var recipes embed.FS

// Recipes are the names of the recipes that ship.
func Recipes() []string {
	files, err := recipes.ReadDir("recipes")
	if err != nil {
		return nil // unreachable: they are in the binary
	}
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = strings.TrimSuffix(f.Name(), ".yaml")
	}
	slices.Sort(out) // by name, not by file
	return out
}

// Recipe is the text of a recipe: what a policy could hold itself.
func Recipe(name string) (string, bool) {
	raw, err := recipes.ReadFile("recipes/" + name + ".yaml")
	return string(raw), err == nil && !strings.Contains(name, "/")
}

// hookFields read what only webhooks have, in a policy and in a recipe.
func hookFields(h *Webhook) map[string]func(node) {
	return map[string]func(node){
		"auth":     func(n node) { h.Auth = n.oneOf("way to prove who we are", auths()) },
		"header":   func(n node) { h.Header = readHeader(n) },
		"audience": func(n node) { h.Audience = n.text() },
		"id":       func(n node) { h.ID = n.text() },
		"find":     func(n node) { h.Find = readFind(n) },
		"requests": func(n node) { h.Requests = readRequests(n) },
		"body": func(n node) {
			r := Request{On: lifecycles(), Method: "POST"}
			r.Body, r.BodyLine = n.template()
			h.Requests = append(h.Requests, r)
		},
	}
}

func (n node) oneOf(what string, want []string) string {
	s := n.text()
	if s != "" && !slices.Contains(want, s) {
		n.problem("%q is no %s: want one of %s", clip(s), what, strings.Join(want, ", "))
		return ""
	}
	return s
}

func readHeader(n node) string {
	s := n.text()
	switch {
	case s == "":
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r) }):
		n.problem("is no name of a header: want such as X-Api-Key")
		return ""
	case strings.EqualFold(s, "Host"), strings.EqualFold(s, "Content-Length"), strings.EqualFold(s, "Content-Type"):
		n.problem("is a header that the request has already: want one of the receiver's own")
		return ""
	}
	return s
}

func readRequests(n node) []Request {
	var out []Request
	for _, item := range n.items() {
		r := Request{Method: "POST"}
		found := item.fields(map[string]func(node){
			"on": func(n node) {
				for _, i := range n.items() {
					r.On = append(r.On, i.oneOf("lifecycle of an alert", lifecycles()))
				}
			},
			"minSeverity": func(n node) { r.MinSeverity = readSeverity(n) },
			"when":        func(n node) { r.When = n.oneOf("state of what was found", []string{WhenFound, WhenMissing}) },
			"method":      func(n node) { r.Method = n.oneOf("method", []string{"POST", "PUT", "PATCH"}) },
			"path":        func(n node) { r.Path, r.PathLine = n.behind() },
			"body":        func(n node) { r.Body, r.BodyLine = n.template() },
		})
		item.require(found, "on", "on: [trigger, update]")
		item.require(found, "body", "body: a template's text")
		out = append(out, r)
	}
	return out
}

// readWith reads a recipe's parameters; in a recipe, an empty one is to be given.
func readWith(n node) map[string]string {
	out := map[string]string{}
	for _, e := range n.entries() {
		if _, empty := e.yaml.(*ast.NullNode); empty {
			out[e.name] = ""
			continue
		}
		out[e.name] = e.text()
	}
	return out
}

// finishHook joins a webhook with its recipe and checks that it can prove who it is.
func finishHook(n node, c *Channel, found map[string]bool) {
	h := &c.Hook
	if h.Recipe != "" {
		if found["body"] || found["requests"] || found["find"] {
			n.problem("has a recipe and a body or requests: want one; cmkguard policy recipe NAME prints what a recipe sends")
		}
		useRecipe(n, c, found)
	}
	if found["body"] && found["requests"] {
		n.problem("has body and requests: want one")
	}
	checkFind(n, *h)
	if found["with"] && h.Recipe == "" {
		n.problem("has with, and no recipe that would ask for it")
	}
	if c.URL == "" && !found["url"] {
		n.problem("has no url: want url: https://...")
	}
	if h.Auth == "" && len(h.Requests) > 0 {
		h.Auth = AuthSignature
	}
	if u, err := url.Parse(c.URL); err == nil && u.RawQuery != "" && slices.ContainsFunc(h.Requests, func(r Request) bool { return r.Path != "" }) {
		n.problem("has a url with a query, and paths that go behind it: want the query in the paths")
	}
	checkAuth(n, *c, found)
}

// readRecipe reads a recipe that ships as a channel that has nothing else.
func readRecipe(name string) (Channel, *Problems) {
	out := &Problems{File: "recipe " + name}
	var c Channel
	text, _ := Recipe(name)
	if root, ok := parseYAML([]byte(text), out); ok {
		fields := hookFields(&c.Hook)
		fields["with"] = func(n node) { c.Hook.With = readWith(n) }
		fields["url"] = func(n node) { c.URL = readURL(n) }
		root.fields(fields)
	}
	return c, out
}

// Sample is a channel of the recipe with names in place of what a policy would give.
func Sample(recipe string) Channel {
	c, _ := readRecipe(recipe)
	c.Name, c.Kind, c.Hook.Recipe = recipe, kindWebhook, recipe
	if c.URL == "" {
		c.URL = "https://" + recipe + ".example.com"
	}
	for name, value := range c.Hook.With {
		if value == "" {
			c.Hook.With[name] = strings.ToUpper(name)
		}
	}
	c.User, c.SecretRef = "USER", "NONE"
	if c.Hook.Auth == AuthIdentity {
		c.User, c.SecretRef = "", ""
	}
	return c
}

// useRecipe takes over what the channel does not say itself.
func useRecipe(n node, c *Channel, found map[string]bool) {
	if !slices.Contains(Recipes(), c.Hook.Recipe) {
		n.problem("recipe %q is unknown: want one of %s", clip(c.Hook.Recipe), strings.Join(Recipes(), ", "))
		return
	}
	from, out := readRecipe(c.Hook.Recipe)
	if len(out.List) > 0 { // a test reads each of them
		n.problem("recipe %s: %v", c.Hook.Recipe, out)
		return
	}
	if !found["url"] {
		c.URL = from.URL
	}
	for _, f := range []struct{ ours, its *string }{
		{&c.Hook.Auth, &from.Hook.Auth}, {&c.Hook.Audience, &from.Hook.Audience}, {&c.Hook.ID, &from.Hook.ID}, {&c.Hook.Header, &from.Hook.Header},
	} {
		if *f.ours == "" {
			*f.ours = *f.its
		}
	}
	c.Hook.Requests, c.Hook.Find = from.Hook.Requests, from.Hook.Find
	c.Hook.With = joinWith(n, c.Hook, from.Hook.With)
}

func joinWith(n node, h Webhook, its map[string]string) map[string]string {
	for _, name := range sortedKeys(h.With) {
		if _, known := its[name]; !known {
			n.problem("with.%s is not asked for by the recipe %s: it wants %s", clip(name), h.Recipe, orNothing(sortedKeys(its)))
		}
	}
	out := map[string]string{}
	for _, name := range sortedKeys(its) {
		out[name] = its[name]
		if s, ok := h.With[name]; ok {
			out[name] = s
		}
		if out[name] == "" {
			n.problem("has no with.%s, which the recipe %s asks for", name, h.Recipe)
		}
	}
	return out
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ", ")
}
