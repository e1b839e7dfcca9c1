package handlers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"cmkguard/handlers/approvals"
	"cmkguard/handlers/eventqueue"
	"cmkguard/handlers/keyvaultevents"
	"cmkguard/handlers/resourceevents"
	"cmkguard/handlers/sweep"
	"cmkguard/handlers/vaultlogs"
	"cmkguard/handlers/work"
	"cmkguard/internal/funchost"
	"cmkguard/internal/localhost"
)

// document is a JSON file read with its lines: JSON is YAML.
type document struct {
	t    *testing.T
	name string
	at   map[string]*ast.MappingValueNode // by path, such as extensions.queues.batchSize
	bad  []string
}

func read(t *testing.T, name, text string) *document {
	t.Helper()
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil || len(file.Docs) != 1 {
		t.Fatalf("%s: %v", name, err)
	}
	d := &document{t: t, name: name, at: map[string]*ast.MappingValueNode{}}
	d.walk("", file.Docs[0].Body)
	return d
}

func (d *document) walk(path string, n ast.Node) {
	switch v := n.(type) {
	case *ast.MappingNode:
		for _, e := range v.Values {
			at := strings.TrimPrefix(path+"."+strings.Trim(e.Key.String(), `"`), ".")
			d.at[at] = e
			d.walk(at, e.Value)
		}
	case *ast.SequenceNode:
		for i, e := range v.Values {
			d.walk(fmt.Sprintf("%s.%d", path, i), e)
		}
	}
}

// problem notes what is wrong at a path, or at the nearest part of it that is there.
func (d *document) problem(path, format string, args ...any) {
	line, near := 1, path
	for near != "" {
		if e, ok := d.at[near]; ok {
			line = e.Key.GetToken().Position.Line
			break
		}
		near = near[:max(0, strings.LastIndexByte(near, '.'))]
	}
	d.bad = append(d.bad, fmt.Sprintf("%s:%d: %s: %s", d.name, line, path, fmt.Sprintf(format, args...)))
}

// text is the value's text, or "" with a problem.
func (d *document) text(path, why string) string {
	e, ok := d.at[path]
	if !ok {
		d.problem(path, "is missing: %s", why)
		return ""
	}
	if list, ok := e.Value.(*ast.SequenceNode); ok {
		var all []string
		for _, v := range list.Values {
			all = append(all, v.GetToken().Value)
		}
		return strings.Join(all, ",")
	}
	return e.Value.GetToken().Value
}

func (d *document) want(path, value, why string) {
	if got := d.text(path, why); got != "" && got != value {
		d.problem(path, "is %s, want %s: %s", got, value, why)
	}
}

func (d *document) never(path, why string) {
	if _, set := d.at[path]; set {
		d.problem(path, "is set: %s", why)
	}
}

func (d *document) duration(path, why string) time.Duration {
	s := d.text(path, why)
	at, err := time.Parse(time.TimeOnly, s)
	if err != nil && s != "" {
		d.problem(path, "%q is no hh:mm:ss", s)
	}
	return at.Sub(at.Truncate(24 * time.Hour))
}

// checkHost holds host.json against the code.
func checkHost(d *document) []string {
	for _, forbidden := range []string{"enableForwardingHttpRequest", "enableProxyingHttpRequest", "enableHttpProxyingRequest"} {
		d.never("customHandler."+forbidden, "a caller of one HTTP function could forge any trigger")
	}
	if got := d.duration("functionTimeout", "without it the plan decides"); got <= funchost.DefaultDeadline {
		d.problem("functionTimeout", "%v is not above our own deadline of %v: the host would kill every invocation in flight", got, funchost.DefaultDeadline)
	}
	d.want("customHandler.description.defaultExecutablePath", "cmkguard", "the program that make package puts there")
	const queues = "extensions.queues."
	if got := d.duration(queues+"visibilityTimeout", "a failed message would come back at once"); got != localhost.DefaultVisibility {
		d.problem(queues+"visibilityTimeout", "%v, the embedded host has %v", got, localhost.DefaultVisibility)
	}
	d.want(queues+"maxDequeueCount", fmt.Sprint(localhost.MaxDequeueCount), "what the embedded host does")
	d.want(queues+"messageEncoding", "base64", "what the program writes")
	d.text(queues+"batchSize", "how many messages run at once is ours to say")
	d.want("extensions.eventHubs.maxEventBatchSize", fmt.Sprint(vaultlogs.MaxBatch), "more would not fit into the body that the program takes")
	d.text(queues+"newBatchThreshold", "how many messages run at once is ours to say")
	return d.bad
}

// binding is what a function.json says of its only binding.
type binding map[string]string

func bindings() map[string]binding {
	return map[string]binding{
		keyvaultevents.Name: {"type": "eventGridTrigger", "name": keyvaultevents.Binding},
		resourceevents.Name: {"type": "eventGridTrigger", "name": resourceevents.Binding},
		eventqueue.Name:     {"type": "queueTrigger", "name": eventqueue.Binding, "dataType": "binary", "queueName": eventqueue.Queue, "connection": "CMKGUARD_STORAGE"},
		vaultlogs.Name: {"type": "eventHubTrigger", "name": vaultlogs.Binding, "dataType": "binary", "cardinality": "many", "eventHubName": vaultlogs.Hub,
			"connection": "CMKGUARD_EVENTHUB"},
		work.Name:      {"type": "queueTrigger", "name": work.Binding, "dataType": "binary", "queueName": work.Queue, "connection": "CMKGUARD_STORAGE"},
		approvals.Name: {"type": "httpTrigger", "name": approvals.Binding, "authLevel": "anonymous", "methods": "get,post", "route": approvals.Route},
		sweep.Name:     {"type": "timerTrigger", "name": sweep.Binding, "schedule": "0 * * * * *"},
	}
}

// retriable are the triggers for which the host obeys "retry"
// (learn.microsoft.com azure-functions/functions-bindings-error-pages).
func retriable(trigger string) bool {
	return trigger == "timerTrigger" || trigger == "eventHubTrigger" || trigger == "kafkaTrigger" || trigger == "cosmosDBTrigger"
}

// checkFunction holds a function.json against the code.
func checkFunction(d *document, function string) []string {
	const first = "bindings.0."
	want, known := bindings()[function]
	if !known {
		d.problem("bindings", "no code answers the function %s", function)
		return d.bad
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_\-]{0,127}$`).MatchString(function) {
		d.problem("bindings", "the host refuses the name %s", function)
	}
	d.want(first+"direction", "in", "a trigger")
	for name, value := range want {
		d.want(first+name, value, "what the code has")
	}
	if want["type"] == "eventHubTrigger" {
		d.text("retry.strategy", "Event Hubs moves on after a failure: without retry a record is lost")
	}
	if want["type"] == "httpTrigger" {
		for name, value := range map[string]string{"type": "http", "direction": "out", "name": approvals.Output} {
			d.want("bindings.1."+name, value, "the answer")
		}
	}
	for at := range d.at {
		name, isBinding := strings.CutPrefix(at, first)
		_, expected := want[name]
		switch {
		case strings.HasPrefix(at, "bindings.1") && want["type"] == "httpTrigger":
			continue
		case strings.HasPrefix(at, "bindings.1"):
			d.problem(at, "is a second binding: the function answers one")
		case isBinding && !expected && name != "direction":
			d.problem(at, "is not what the code has")
		case at == "scriptFile":
			d.problem(at, "would have to exist")
		case at == "retry" && !retriable(want["type"]):
			d.problem(at, "is not supported for %s: the host ignores it", want["type"])
		}
	}
	return d.bad
}

func load(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHostFilesHoldWhatTheCodeDoes(t *testing.T) {
	for _, p := range checkHost(read(t, "host.json", load(t, filepath.Join("..", "host.json")))) {
		t.Error(p)
	}
	files, err := filepath.Glob("*/function.json")
	if err != nil || len(files) != len(bindings()) {
		t.Fatalf("%d functions, the code has %d: %v", len(files), len(bindings()), err)
	}
	for _, f := range files {
		for _, p := range checkFunction(read(t, f, load(t, f)), filepath.Dir(f)) {
			t.Error(p)
		}
	}
}

// A wrong file is named with its line.
func TestWrongHostFilesAreNamedByLine(t *testing.T) {
	host, queue := load(t, filepath.Join("..", "host.json")), load(t, "work/function.json")
	events := load(t, "keyvaultevents/function.json")
	for name, c := range map[string]struct {
		function, old, new, want string
	}{
		"another answer":       {"approvals", `"name": "res"`, `"name": "out"`, "approvals:13: bindings.1.name: is out, want res"},
		"a function key":       {"approvals", `"anonymous"`, `"function"`, "approvals:7: bindings.0.authLevel: is function, want anonymous"},
		"a PUT too":            {"approvals", `"post"]`, `"post", "put"]`, "approvals:8: bindings.0.methods: is get,post,put, want get,post"},
		"forwarding on":        {"", `"description": {`, `"enableForwardingHttpRequest": true, "description": {`, "host.json:9: customHandler.enableForwardingHttpRequest: is set"},
		"proxying on":          {"", `"description": {`, `"enableProxyingHttpRequest": true, "description": {`, "host.json:9: customHandler.enableProxyingHttpRequest: is set"},
		"timeout too short":    {"", `"00:05:00"`, `"00:00:30"`, "host.json:3: functionTimeout: 30s is not above"},
		"timeout not stated":   {"", `"functionTimeout": "00:05:00",`, ``, "host.json:1: functionTimeout: is missing"},
		"visibility left out":  {"", `"visibilityTimeout": "00:00:30",`, ``, "host.json:20: extensions.queues.visibilityTimeout: is missing"},
		"visibility zero":      {"", `"00:00:30"`, `"00:00:00"`, "host.json:23: extensions.queues.visibilityTimeout: 0s"},
		"more dequeues":        {"", `"maxDequeueCount": 5`, `"maxDequeueCount": 50`, "host.json:24: extensions.queues.maxDequeueCount: is 50"},
		"a larger batch":       {"", `"maxEventBatchSize": 10`, `"maxEventBatchSize": 100`, "host.json:18: extensions.eventHubs.maxEventBatchSize: is 100"},
		"no batch size":        {"", `"batchSize": 16,`, ``, "extensions.queues.batchSize: is missing"},
		"another program":      {"", `"cmkguard"`, `"other"`, "host.json:10: customHandler.description.defaultExecutablePath: is other"},
		"queue renamed":        {"work", "cmkguard-work", "cmkguard-works", "work:8: bindings.0.queueName: is cmkguard-works, want cmkguard-work"},
		"binding renamed":      {"work", `"item"`, `"message"`, "work:5: bindings.0.name: is message, want item"},
		"string messages":      {"work", `"binary"`, `"string"`, "work:7: bindings.0.dataType: is string, want binary"},
		"retry of a queue":     {"work", `"bindings": [`, `"retry": {"strategy": "fixedDelay"}, "bindings": [`, "work:2: retry: is not supported for queueTrigger"},
		"logs without retry":   {"vaultlogs", `"strategy": "exponentialBackoff",`, ``, "vaultlogs:2: retry.strategy: is missing"},
		"one log at a time":    {"vaultlogs", `"many"`, `"one"`, "bindings.0.cardinality: is one, want many"},
		"a second binding":     {"keyvaultevents", "}\n  ]", "}, {\"type\": \"blob\"}\n  ]", "is a second binding"},
		"a script":             {"keyvaultevents", `"bindings": [`, `"scriptFile": "x.js", "bindings": [`, "keyvaultevents:2: scriptFile: would have to exist"},
		"a setting not ours":   {"keyvaultevents", `"direction": "in"`, `"direction": "in", "cardinality": "many"`, "bindings.0.cardinality: is not what the code has"},
		"a function of nobody": {"nobody", "", "", "no code answers the function nobody"},
	} {
		text := map[string]string{"": host, "work": queue, "keyvaultevents": events, "vaultlogs": load(t, "vaultlogs/function.json"), "approvals": load(t, "approvals/function.json"), "nobody": queue}[c.function]
		wrong := strings.Replace(text, c.old, c.new, 1)
		if wrong == text && c.old != "" {
			t.Errorf("%s: the file does not hold %s", name, c.old)
			continue
		}
		var got []string
		if c.function == "" {
			got = checkHost(read(t, "host.json", wrong))
		} else {
			got = checkFunction(read(t, c.function, wrong), c.function)
		}
		if all := strings.Join(got, "\n"); !strings.Contains(all, c.want) {
			t.Errorf("%s:\n%s\nwant %s", name, all, c.want)
		}
	}
}
