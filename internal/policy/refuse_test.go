package policy

import (
	"strings"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	const v = "version: 1\n"
	for name, c := range map[string]struct{ text, want string }{
		"no version":           {"pause: true\n", "1 : has no version: want version: 1"},
		"empty file":           {"", "1 : is empty: want fields"},
		"only a comment":       {"# nothing\n", "want fields"},
		"a list":               {"- version: 1\n", "1 : is a list: want fields"},
		"a word":               {"hello\n", "1 : is a string: want fields"},
		"version as text":      {"version: \"1\"\n", "1 version: is not 1"},
		"not YAML":             {v + "remedies: [\n", "not YAML: "},
		"tab":                  {v + "limits:\n\tadoptionWait: 2h\n", "3 : not YAML: "},
		"two documents":        {v + "---\n" + v, "3 : a second YAML document: want one"},
		"twice":                {v + "pause: true\npause: false\n", "3 pause: is set twice, first on line 2: want it once"},
		"alias":                {v + "remedies: &a {rotate: off}\n", "2 remedies: is an anchor or alias, which policies do not use"},
		"merge":                {v + "limits:\n  <<: {adoptionWait: 2h}\n", "3 limits.<<: is unknown"},
		"tag":                  {v + "pause: !!bool \"true\"\n", "2 pause: is a YAML tag"},
		"null section":         {v + "limits:\n", "2 limits: is empty: want fields"},
		"case of a field":      {v + "Pause: true\n", "2 Pause: is unknown"},
		"empty remedies":       {v + "remedies: {}\n", "2 remedies: names no remedy: want one of recover-vault, restore-grant, rewire, rotate"},
		"mode in capitals":     {v + "remedies: {rotate: AUTO}\n", `"AUTO" is no mode`},
		"mode false":           {v + "remedies: {rotate: false}\n", "2 remedies.rotate: is true or false: want a string"},
		"ceiling off":          {v + "remedies: {recover-vault: dry-run}\n", "dry-run is above the ceiling of this remedy, which is compiled in: want off or tighter"},
		"ceiling in a rule":    {v + "rules:\n- name: a\n  match: {clusters: [x]}\n  remedies:\n    restore-grant: auto\n", "6 rules[0].remedies.restore-grant: auto is above the ceiling"},
		"empty rules":          {v + "rules: []\n", "2 rules: is an empty list"},
		"rule of text":         {v + "rules: [x]\n", "2 rules[0]: is a string: want fields"},
		"rule without modes":   {v + "rules:\n- name: a\n  match: {keys: [a/b]}\n", "3 rules[0]: has no remedies"},
		"same rule names":      {v + "rules:\n- {name: a, match: {keys: [a]}, remedies: {rotate: off}}\n- {name: a, match: {keys: [b]}, remedies: {rotate: off}}\n", `4 rules[1]: name "a" is used twice, first on line 3`},
		"empty list in match":  {v + "rules:\n- name: a\n  match: {clusters: []}\n  remedies: {rotate: off}\n", "4 rules[0].match.clusters: is an empty list"},
		"no tags":              {v + "rules:\n- name: a\n  match: {tags: {}}\n  remedies: {rotate: off}\n", "4 rules[0].match.tags: names no tag"},
		"regular expression":   {v + "scope: {exclude: [\"pay-.+\"]}\n", `2 scope.exclude[0]: "pay-.+" is no pattern: want a name in which * is the only wildcard`},
		"group with a slash":   {v + "rules:\n- name: a\n  match: {resourceGroups: [a/b]}\n  remedies: {rotate: off}\n", "has a slash"},
		"half an ARM id":       {v + "scope: {exclude: [resourceGroups/x]}\n", "is neither a name nor an ARM id"},
		"subscription path":    {v + "scope: {subscriptions: [/subscriptions/a]}\n", "is no subscription id"},
		"key with a version":   {v + "importedMaterial: [kv/a/b]\n", "without host and version"},
		"key with a host":      {v + "importedMaterial: [kv.vault.azure.net/a]\n", "is no key pattern"},
		"key of a slash":       {v + "importedMaterial: [\"kv/\"]\n", "is no key pattern"},
		"number as pattern":    {v + "importedMaterial: [7]\n", "2 importedMaterial[0]: is a number: want a string"},
		"line in a list":       {v + "importedMaterial:\n- kv-a\n\n- \"?\"\n", "5 importedMaterial[1]: "},
		"large number":         {v + "limits: {rotationsPerDay: 1001}\n", "want a whole number from 0 to 1000"},
		"zone of nowhere":      {v + "freeze: [{name: a, zone: Mars/Olympus, from: \"01:00\", to: \"02:00\"}]\n", `2 freeze[0].zone: "Mars/Olympus" is no time zone`},
		"zone of the host":     {v + "freeze: [{name: a, zone: Local, from: \"01:00\", to: \"02:00\"}]\n", `"Local" is no time zone`},
		"freeze of no time":    {v + "freeze: [{name: a, zone: UTC, from: \"01:00\", to: \"01:00\"}]\n", "2 freeze[0]: from and to are the same time"},
		"half past 25":         {v + "freeze: [{name: a, zone: UTC, from: \"25:30\", to: \"01:00\"}]\n", `2 freeze[0].from: "25:30" is no time of day`},
		"someday":              {v + "freeze: [{name: a, zone: UTC, weekdays: [someday], from: \"01:00\", to: \"02:00\"}]\n", `"someday" is no weekday`},
		"freeze without zone":  {v + "freeze: [{name: a, from: \"01:00\", to: \"02:00\"}]\n", "2 freeze[0]: has no zone"},
		"empty checks":         {v + "checks: {}\n", "2 checks: is empty"},
		"short key":            {v + "checks: {minRsaBits: 1024}\n", "2 checks.minRsaBits: "},
		"check turned off":     {v + "checks: {maxKeyAdmins: 0}\n", "2 checks.maxKeyAdmins: "},
		"region with a comma":  {v + "checks: {regions: [\"west,europe\"]}\n", `2 checks.regions[0]: "west,europe" is no region`},
		"name as object id":    {v + "checks:\n  breakGlass: [alice]\n", `3 checks.breakGlass[0]: "alice" is no object id`},
		"sensitive nothing":    {v + "checks: {sensitiveTags: {}}\n", "2 checks.sensitiveTags: names no tag"},
		"fraction":             {v + "limits: {rotationsPerDay: 1.5}\n", "want a whole number from 0 to 1000"},
		"console with url":     {v + "channels: [{name: a, kind: console, url: \"https://x.example\"}]\n", "is a console with url or secretRef"},
		"webhook without url":  {v + "channels: [{name: a, kind: webhook}]\n", "2 channels[0]: has no url: want url: https://..."},
		"teams with a url":     {v + "channels: [{name: a, kind: teams, secretRef: T, url: \"https://x.example\"}]\n", "2 channels[0]: has a url: the webhook's URL is a secret"},
		"pager of nothing":     {v + "channels: [{name: a, kind: pagerduty}]\n", "2 channels[0]: has no secretRef"},
		"pager of elsewhere":   {v + "channels: [{name: a, kind: pagerduty, secretRef: T, region: mars}]\n", `2 channels[0].region: "mars" is no region`},
		"region of a webhook":  {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", region: eu}]\n", "has a field region, which only pagerduty has"},
		"unknown recipe":       {v + "channels: [{name: a, kind: webhook, recipe: fax}]\n", `2 channels[0]: recipe "fax" is unknown: want one of jira, jsm, sentinel, servicenow, servicenow-incident`},
		"recipe and body":      {v + "channels: [{name: a, kind: webhook, recipe: jsm, secretRef: S, body: x}]\n", "2 channels[0]: has a recipe and a body or requests: want one"},
		"recipe and find":      {v + "channels: [{name: a, kind: webhook, recipe: jsm, secretRef: S, find: {path: /x, list: a, id: b}}]\n", "has a recipe and a body or requests: want one"},
		"when without find":    {v + "channels: [{name: a, kind: webhook, auth: none, url: \"https://x.example\", requests: [{on: [trigger], when: found, body: \"{}\"}]}]\n", "2 channels[0]: has one of find and when: want a find"},
		"find without when":    {v + "channels: [{name: a, kind: webhook, auth: none, url: \"https://x.example\", find: {path: /x, list: a, id: b}, requests: [{on: [trigger], body: \"{}\"}]}]\n", "has one of find and when"},
		"find of nothing":      {v + "channels: [{name: a, kind: webhook, auth: none, url: \"https://x.example\", find: {path: x}, requests: [{on: [trigger], when: lost, body: \"{}\"}]}]\n", "does not begin with /"},
		"find without a list":  {v + "channels: [{name: a, kind: webhook, auth: none, url: \"https://x.example\", find: {path: /x, id: b}, requests: [{on: [trigger], when: found, body: \"{}\"}]}]\n", "list: where the answer holds what was found"},
		"found or not":         {v + "channels: [{name: a, kind: webhook, auth: none, url: \"https://x.example\", find: {path: /x, list: a, id: b}, requests: [{on: [trigger], when: lost, body: \"{}\"}]}]\n", `"lost" is no state of what was found: want one of found, missing`},
		"find far behind":      {v + "channels: [{name: a, kind: webhook, auth: none, url: \"https://x.example\", find: {path: /x, list: a, id: b, lags: 1h}, requests: [{on: [trigger], when: found, body: \"{}\"}]}]\n", "lags is above 10m"},
		"find in a chat":       {v + "channels: [{name: a, kind: slack, secretRef: S, find: {path: /x, list: a, id: b}}]\n", "has a field find, which only webhook has"},
		"recipe without with":  {v + "channels: [{name: a, kind: webhook, recipe: jira, url: \"https://x.example\", user: u, secretRef: S}]\n", "2 channels[0]: has no with.project, which the recipe jira asks for"},
		"with of nothing":      {v + "channels: [{name: a, kind: webhook, recipe: jsm, with: {team: x}, secretRef: S}]\n", "with.team is not asked for by the recipe jsm: it wants nothing"},
		"recipe of no user":    {v + "channels: [{name: a, kind: webhook, recipe: jira, with: {project: A}, url: \"https://x.example\", secretRef: S}]\n", "has no user, which auth: basic asks for"},
		"token for the vault":  {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", auth: identity, audience: \"https://vault.azure.net\", body: x}]\n", `audience "https://vault.azure.net" is neither an application of yours`},
		"token for ARM":        {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", auth: identity, audience: \"https://management.azure.com\", body: x}]\n", "a token for another service must not go to a webhook"},
		"token elsewhere":      {v + "channels: [{name: a, kind: webhook, recipe: sentinel, with: {rule: dcr-1}, url: \"https://evil.example/.ingest.monitor.azure.com\"}]\n", "url is not one of https://monitor.azure.com: want https://NAME.ingest.monitor.azure.com"},
		"token and secret":     {v + "channels: [{name: a, kind: webhook, recipe: sentinel, with: {rule: dcr-1}, secretRef: S, url: \"https://a.ingest.monitor.azure.com\"}]\n", "has a secretRef, which auth: identity does not use"},
		"unproved":             {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", auth: bearer, body: x}]\n", "has no secretRef, which auth: bearer asks for"},
		"header of ours":       {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", auth: header, header: Host, secretRef: S, body: x}]\n", "2 channels[0].header: is a header that the request has already"},
		"header injected":      {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", auth: header, header: \"X: y\", secretRef: S, body: x}]\n", "2 channels[0].header: is no name of a header"},
		"path to elsewhere":    {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", secretRef: S, requests: [{on: [trigger], path: \"@evil.example\", body: x}]}]\n", "2 channels[0].requests[0].path: does not begin with /"},
		"request for nobody":   {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", secretRef: S, requests: [{body: x}]}]\n", "2 channels[0].requests[0]: has no on"},
		"lifecycle":            {v + "channels: [{name: a, kind: webhook, url: \"https://x.example\", secretRef: S, requests: [{on: [open], body: x}]}]\n", `"open" is no lifecycle of an alert`},
		"query and paths":      {v + "channels: [{name: a, kind: webhook, url: \"https://x.example/?a=b\", secretRef: S, requests: [{on: [trigger], path: /x, body: x}]}]\n", "has a url with a query, and paths"},
		"body of Slack":        {v + "channels: [{name: a, kind: slack, secretRef: S, body: x}]\n", "has a field body, which only webhook has"},
		"mail to nobody":       {v + "channels: [{name: a, kind: email, server: \"m.example:587\", from: a@x.example}]\n", "2 channels[0]: has no to: want to: [address]"},
		"mail without a port":  {v + "channels: [{name: a, kind: email, server: m.example, from: a@x.example, to: [b@x.example]}]\n", "2 channels[0].server: is not HOST:PORT"},
		"mail to no address":   {v + "channels: [{name: a, kind: email, server: \"m.example:587\", from: a@x.example, to: [b, \"c@x.example\"]}]\n", `2 channels[0].to[0]: "b" is no mail address`},
		"mail in clear":        {v + "channels: [{name: a, kind: email, server: \"m.example:25\", tls: none, from: a@x.example, to: [b@x.example]}]\n", `2 channels[0].tls: "none" is no way to encrypt`},
		"user without secret":  {v + "channels: [{name: a, kind: email, server: \"m.example:25\", user: me, from: a@x.example, to: [b@x.example]}]\n", "has one of user and secretRef"},
		"mail to Slack":        {v + "channels: [{name: a, kind: slack, secretRef: T, to: [b@x.example]}]\n", "has a field to, which only email has"},
		"alertmanager nowhere": {v + "channels: [{name: a, kind: alertmanager}]\n", "2 channels[0]: has no url"},
		"channel of nothing":   {v + "channels: [{}]\n", "has no name"},
		"plain http":           {v + "channels: [{name: a, kind: webhook, url: \"http://x.example\"}]\n", "is not https"},
		"file":                 {v + "channels: [{name: a, kind: webhook, url: \"file:///etc/passwd\"}]\n", "is no URL"},
		"fragment":             {v + "channels: [{name: a, kind: webhook, url: \"https://x.example/#a\"}]\n", "has a fragment"},
		"unknown channel":      {v + "alerts: [{minSeverity: high, channels: [ops]}]\n", `channel "ops" is unknown: without channels there is only console`},
		"heartbeat of nobody":  {v + "heartbeat: {every: 5m}\n", "2 heartbeat: has neither url nor secretRef"},
		"heartbeat too often":  {v + "heartbeat: {secretRef: A, every: 59s}\n", "2 heartbeat.every: is not between 1m and 1d"},
		"heartbeat too slow":   {v + "heartbeat: {secretRef: A, every: 25h}\n", "2 heartbeat.every: is not between 1m and 1d"},
		"heartbeat with key":   {v + "heartbeat: {url: \"https://w.example/?token=x\"}\n", "2 heartbeat.url: holds a secret"},
		"heartbeat of text":    {v + "heartbeat: https://w.example\n", "2 heartbeat: is a string: want fields"},
		"empty alerts":         {v + "alerts: []\n", "2 alerts: is an empty list"},
		"route of nothing":     {v + "alerts: [{}]\n", "2 alerts[0]: has neither minSeverity nor match"},
		"route to nobody":      {v + "alerts: [{minSeverity: high}]\n", "2 alerts[0]: has no channels"},
		"severity twice":       {v + "alerts: [{minSeverity: high, match: {minSeverity: low}, channels: [console]}]\n", "2 alerts[0]: has minSeverity twice"},
		"own fallback":         {v + "alerts: [{minSeverity: high, channels: [console], fallback: [console]}]\n", `2 alerts[0]: fallback "console" is among its channels`},
		"unknown fallback":     {v + "alerts: [{minSeverity: high, channels: [console], fallback: [ops]}]\n", `channel "ops" is unknown`},
		"rate of no time":      {v + "channels: [{name: a, kind: console, rate: {sends: 5}}]\n", "2 channels[0].rate: has no per"},
		"rate of a day":        {v + "channels: [{name: a, kind: console, rate: {sends: 5, per: 1d}}]\n", "2 channels[0].rate: per is above 1h"},
		"match of nothing":     {v + "alerts: [{match: {}, channels: [console]}]\n", "2 alerts[0].match: is empty"},
		"unknown family":       {v + "alerts: [{match: {families: [keys]}, channels: [console]}]\n", `2 alerts[0].match.families[0]: "keys" is no family of checks: want one of self, work, cluster`},
		"unknown check":        {v + "alerts: [{match: {checks: [CMK-5]}, channels: [console]}]\n", `2 alerts[0].match.checks[0]: "CMK-5" matches no check`},
		"unknown lifecycle":    {v + "alerts: [{match: {lifecycle: [open]}, channels: [console]}]\n", `2 alerts[0].match.lifecycle[0]: "open" is no state of an alert`},
		"hours of no zone":     {v + "alerts: [{match: {hours: {from: \"08:00\", to: \"18:00\"}}, channels: [console]}]\n", "2 alerts[0].match.hours: has no zone"},
		"regular subject":      {v + "alerts: [{match: {subjects: [\"pay-.+|x\"]}, channels: [console]}]\n", `2 alerts[0].match.subjects[0]: "pay-.+|x" is no pattern`},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(refuse(t, c.text), "\n")
			if !strings.Contains(got, c.want) {
				t.Errorf("got:\n%s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30d": 720 * time.Hour, "2h": 2 * time.Hour, "90m": 90 * time.Minute, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute, "3650d": 87600 * time.Hour,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0d", "0s", "-2h", "-1d", "+1d", "1d-1h", "1d+1h", "d", "1.5d", "2 h", "1d1d", "2w", "1M", "3651d", "3650d1s", "65535d9999999h", "99999999999h", "30"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%s: taken as %v", text, got)
		}
	}
}

func TestSecretsAreRefusedAndNeverRepeated(t *testing.T) {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for name, channel := range map[string]string{
		"secret": `secret: ` + secret, "token": `token: ` + secret, "password": `password: ` + secret, "key": `key: ` + secret,
		"as its own name":      `secretRef: ` + secret,
		"as a list":            `secretRef: [` + secret + `]`,
		"in the user":          `url: "https://u:` + secret + `@x.example/"`,
		"in a parameter":       `url: "https://x.example/?a=1&SIG=` + secret + `"`,
		"in a broken URL":      `url: "://` + secret + `"`,
		"over http":            `url: "http://x.example/` + secret + `"`,
		"in unclosed brackets": `secretRef: "` + secret,
	} {
		text := "version: 1\nchannels:\n- name: ops\n  kind: webhook\n  " + channel + "\n"
		got := strings.Join(refuse(t, text), "\n")
		if strings.Contains(got, secret[6:]) {
			t.Errorf("%s: a message repeats the secret: %s", name, got)
		}
	}
}

func TestHttpIsTakenOnlyToThisMachine(t *testing.T) {
	for host, ok := range map[string]bool{
		"127.0.0.1:9000": true, "localhost:1": true, "[::1]:1": true, "127.0.0.1.evil.example": false, "localhost.evil.example": false, "10.0.0.1": false,
	} {
		_, err := Parse("p", []byte("version: 1\nchannels: [{name: a, kind: webhook, url: \"http://"+host+"/x\"}]\n"), ceilings())
		if (err == nil) != ok {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestBoundsHoldBeforeTheReader(t *testing.T) {
	for name, text := range map[string]string{
		"long":          "version: 1\n#" + strings.Repeat("x", maxBytes),
		"brackets":      "version: 1\nrules: " + strings.Repeat("[", 5000),
		"flow maps":     "version: 1\nrules: " + strings.Repeat("{a: ", 5000),
		"dashes":        strings.Repeat("- ", maxBytes/2),
		"question":      strings.Repeat("? ", maxBytes/2),
		"dashed lines":  strings.Repeat(strings.Repeat("- ", maxLine/2-1)+"\n", 30),
		"anchors":       "a: &a [x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nversion: 1\n",
		"control bytes": "version: 1\n\x00\x01\xff",
	} {
		start := time.Now()
		if _, err := Parse("p", []byte(text), ceilings()); err == nil {
			t.Errorf("%s: taken", name)
		}
		// The bound is generous; without the limits the dashes take five seconds.
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}
