package risk

import (
	"slices"
	"strings"

	"cmkguard/internal/event"
)

func checkClusterState() spec {
	return spec{Check{
		ID: "CMK-004", Title: "The cluster runs and its last operation succeeded",
		Family: FamilyCluster, Severity: Critical, SubjectKind: event.SubjectCluster, Remedy: remedyNone, WithoutKey: true,
		Breaks: "the cluster may be offline, or run with settings that were only half applied, and takes no further change",
		Guidance: "Read the cluster's activity log for the failed operation and its error. If it was a change of key, check that " +
			"both the old and the new key version are enabled and that the identity can unwrap with them, then send the last " +
			"good encryption settings again with PATCH. Do not delete or recreate the cluster.",
	}, judgeClusterState}
}

// judgeClusterState reads both states: a finished operation proves only the
// provisioning state, and the cluster can still be working on it.
func judgeClusterState(s *scene) finding {
	c, ok := s.cluster()
	if !ok {
		return s.cannotTell()
	}
	prov, res := strings.ToLower(c.ProvisioningState), strings.ToLower(c.ResourceState)
	states := "provisioning " + c.ProvisioningState + ", resource " + c.ResourceState
	switch {
	case c.Running():
		return fine("the cluster runs (%s)", states)
	case res == "disabled" || res == "updatefailed":
		f := broken(remedyNone, "the cluster is not in service as configured: %s", states)
		f.reasons = []string{"critical: " + c.ResourceState + " is what a cluster shows that lost its key or failed to take a new one"}
		return f
	case strings.HasSuffix(res, "failed") || prov == "failed" || prov == "canceled" || res == "disabling":
		f := broken(remedyNone, "the cluster's last operation did not succeed: %s", states)
		f.severity = High
		f.reasons = []string{"high: the last operation failed, but the state does not say that the cluster is down"}
		return f
	case prov == "updating" && (res == "running" || inProgress(res)):
		// Somebody's operation is running and Azure will end it as Succeeded or
		// Failed, so there is an answer to come and nothing to repair until then.
		return fine("an operation is in progress (%s); its end will be judged", states)
	case prov == "succeeded" && inProgress(res):
		return unknown("the operation is reported as finished but the cluster is not running yet (%s)", states)
	}
	return unknown("the states do not say whether the cluster is in service (%s)", states)
}

func inProgress(resourceState string) bool {
	return slices.Contains([]string{"updating", "scaling", "moving", "enabling", "creating"}, resourceState)
}

func checkKeyURL() spec {
	return spec{Check{
		ID: "CMK-005", Title: "The cluster's key URL is well formed and names a version",
		Family: FamilyCluster, Severity: High, SubjectKind: event.SubjectCluster, Remedy: remedyRewire,
		Breaks: "the key in use cannot be identified, so nobody can tell whether it is about to be lost",
		Guidance: "Compare the cluster's keyEncryptionKeyUrl with the key in its vault and set it to the full URL of an enabled " +
			"version, https://VAULT/keys/NAME/VERSION, by PATCH.",
	}, judgeKeyURL}
}

func judgeKeyURL(s *scene) finding {
	_, m, ok := s.cmk()
	switch {
	case !ok:
		return s.cannotTell()
	case m.KeyProblem != "":
		return broken(remedyNone, "the key URL %q cannot be used: %s", m.KeyURL, m.KeyProblem)
	case m.Key.IsZero():
		return broken(remedyNone, "the cluster has customer-managed encryption settings without a usable key URL (%q)", m.KeyURL)
	case m.Key.Version == "":
		return broken(remedyRewire, "the key URL %s names no version; the service documents versioned URLs only", m.Key)
	}
	return fine("the key URL names version %s of %s", m.Key.Version, m.Key.ID())
}
