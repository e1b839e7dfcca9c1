package policy

import (
	"embed"
	"path"
	"strings"
)

//go:embed profiles/*.yaml
var profiles embed.FS //nolint:gochecknoglobals // read-only; go:embed knows no other place

// Profiles lists the names of the policies that ship for a kind of user.
func Profiles() []string {
	var out []string
	entries, err := profiles.ReadDir("profiles")
	if err != nil {
		return nil // unreachable: the folder is compiled in
	}
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return out
}

// Profile returns the file of a profile, to be kept and changed as one's own.
func Profile(name string) (text []byte, ok bool) {
	text, err := profiles.ReadFile(path.Join("profiles", path.Base(name)+".yaml"))
	return text, err == nil
}
