package app

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// portSetting is set by the Functions host: the port to serve on.
const portSetting = "FUNCTIONS_CUSTOMHANDLER_PORT"

// Settings are the process's settings, all from the environment
// (local.settings.json.example shows them).
type Settings struct {
	Port          string   // FUNCTIONS_CUSTOMHANDLER_PORT; "0" picks a free one
	Policy        string   // CMKGUARD_POLICY: file; "" is the built-in policy: dry run everywhere
	StateDir      string   // CMKGUARD_STATE=file:DIR
	Storage       *Storage // CMKGUARD_STATE=azure; nil with embedded state
	Cloud         string   // CMKGUARD_CLOUD: public, usgov, china or the path of a cloud profile
	Subscriptions []string // CMKGUARD_SUBSCRIPTIONS: ids, comma-separated
	LogLevel      zerolog.Level
	Observer      string        // CMKGUARD_OBSERVER_CLIENT_ID
	Remediator    string        // CMKGUARD_REMEDIATOR_CLIENT_ID; "": nothing can write
	UnderHost     bool          // a Functions host started us
	Patience      time.Duration // how long a call waits for its turn at a service's rate: a command's; 0: as an invocation can
	InFlight      int           // CMKGUARD_MAX_IN_FLIGHT: invocations that run at once; 0 is funchost's default
	Approvals     Approvals
	PublicURL     string // CMKGUARD_PUBLIC_URL: base of the links in alerts
	JournalKey    string // CMKGUARD_JOURNAL_KEY: PEM, or its file; "" is journal-key.pem beside the embedded state
}

// Approvals are the settings of who may approve, and how that is sealed.
type Approvals struct {
	Tenant   string // CMKGUARD_APPROVAL_TENANT: directory whose people decide
	Audience string // CMKGUARD_APPROVAL_AUDIENCE: client id of the app registration that tokens must be for
	Key      string // CMKGUARD_APPROVAL_KEY: 32 bytes or more in base64; "" with embedded state: approval.key beside it
}

// readSettings returns the settings, what makes the process unable to run
// (fatal), and what leaves it observing only (problems).
func readSettings(env func(string) string) (s Settings, fatal, problems []string) {
	s = Settings{
		Port: env(portSetting), Policy: env("CMKGUARD_POLICY"), Cloud: orDefault(env("CMKGUARD_CLOUD"), "public"),
		Observer: env("CMKGUARD_OBSERVER_CLIENT_ID"), Remediator: env("CMKGUARD_REMEDIATOR_CLIENT_ID"),
		UnderHost: env("FUNCTIONS_CUSTOMHANDLER_WORKER_ID") != "", JournalKey: env("CMKGUARD_JOURNAL_KEY"),
	}
	s.PublicURL = strings.TrimRight(env("CMKGUARD_PUBLIC_URL"), "/")
	s.Approvals = Approvals{
		Tenant: env("CMKGUARD_APPROVAL_TENANT"), Audience: env("CMKGUARD_APPROVAL_AUDIENCE"), Key: env("CMKGUARD_APPROVAL_KEY"),
	}
	if problem := s.readState(env); problem != "" {
		fatal = append(fatal, problem)
	}
	for _, id := range strings.Split(env("CMKGUARD_SUBSCRIPTIONS"), ",") {
		if id = strings.TrimSpace(id); id != "" {
			s.Subscriptions = append(s.Subscriptions, id)
		}
	}
	if len(s.Subscriptions) == 0 {
		problems = append(problems, "CMKGUARD_SUBSCRIPTIONS is not set: name the subscription ids to watch, comma-separated")
	}
	if text := env("CMKGUARD_MAX_IN_FLIGHT"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1000 {
			problems = append(problems, fmt.Sprintf("CMKGUARD_MAX_IN_FLIGHT is %q: want a number from 1 to 1000", text))
			n = 0
		}
		s.InFlight = n
	}
	level, err := zerolog.ParseLevel(orDefault(env("CMKGUARD_LOG_LEVEL"), "info"))
	if err != nil {
		problems = append(problems, fmt.Sprintf("CMKGUARD_LOG_LEVEL is %q: want debug, info, warn or error", env("CMKGUARD_LOG_LEVEL")))
		level = zerolog.InfoLevel
	}
	s.LogLevel = level
	return s, fatal, problems
}

// readState reads where state is, and returns what is wrong with it.
func (s *Settings) readState(env func(string) string) (problem string) {
	state := env("CMKGUARD_STATE")
	dir, isFile := strings.CutPrefix(state, "file:")
	switch {
	case state == "":
		return "CMKGUARD_STATE is not set: want file:DIR or azure"
	case strings.EqualFold(state, "azure"):
		s.Storage = &Storage{}
		*s.Storage, problem = readStorage(env)
		return problem
	case !isFile || dir == "":
		return fmt.Sprintf("CMKGUARD_STATE is %q: want file:DIR or azure", state)
	case env("WEBSITE_INSTANCE_ID") != "":
		return "CMKGUARD_STATE is file:DIR, but this is a Functions host in Azure, whose instances share no disk: set it to azure"
	}
	s.StateDir = dir
	return ""
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}
