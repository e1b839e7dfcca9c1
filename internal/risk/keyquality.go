package risk

import (
	"strings"

	"cmkguard/internal/event"
)

func checkKeySize() spec {
	return spec{Check{
		ID: "CMK-015", Title: "The RSA key is long enough",
		Family: FamilyKey, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "nothing today; the key that wraps the data key is weaker than the rules for it",
		Guidance: "A key's size cannot be changed, and rotation keeps it. Create a longer RSA key, grant the identity access, and " +
			"change the cluster's key in a maintenance window.",
	}, judgeKeySize}
}

func judgeKeySize(s *scene) finding {
	b, ok := s.bundle()
	switch {
	case !ok:
		return s.cannotTell()
	case b.Bits == 0:
		return unknown("the key's size was not given (type %q; see CMK-014)", b.Type)
	case b.Bits < s.lim.MinRSABits:
		return broken(remedyNone, "the key has %d bits; %d are asked for", b.Bits, s.lim.MinRSABits)
	}
	return fine("the key has %d bits", b.Bits)
}

func checkKeyHSM() spec {
	return spec{Check{
		ID: "CMK-017", Title: "A key of sensitive data is held in hardware",
		Family: FamilyKey, Severity: Low, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "nothing; the key is protected by software where the data's class asks for an HSM",
		Guidance: "A software key cannot become an HSM key. Create an RSA-HSM key in a premium vault, grant the identity access, and " +
			"change the cluster's key in a maintenance window.",
	}, judgeKeyHSM}
}

func judgeKeyHSM(s *scene) finding {
	b, ok := s.bundle()
	tag := s.sensitive()
	switch {
	case !ok:
		return s.cannotTell()
	case b.Type == "":
		return unknown("the key's type was not given")
	case strings.HasSuffix(strings.ToUpper(b.Type), "-HSM"):
		return fine("the key is %s", b.Type)
	case s.lim.RequireHSM:
		return broken(remedyNone, "the key is %s and the policy asks for every key to be held in hardware", b.Type)
	case tag == "":
		return fine("the key is %s, and no tag marks the data as sensitive", b.Type)
	}
	return broken(remedyNone, "the key is %s and the cluster is tagged %s", b.Type, tag)
}

func checkKeyStays() spec {
	return spec{Check{
		ID: "CMK-029", Title: "The key cannot leave its vault",
		Family: FamilyKey, Severity: High, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "whoever satisfies the key's release policy holds its private part outside the vault: revoking the key in the vault no longer takes the data away",
		Guidance: "A key's exportable attribute is set when it is made. Create a key that is not exportable, grant the identity access, and " +
			"change the cluster's key in a maintenance window; then decide what the exportable key was for.",
	}, judgeKeyStays}
}

func judgeKeyStays(s *scene) finding {
	b, ok := s.bundle()
	switch {
	case !ok:
		return s.cannotTell()
	case b.Exportable:
		return broken(remedyNone, "the key is exportable: its release policy can hand out the private key")
	}
	return fine("the key is not exportable")
}

func checkKeyManaged() spec {
	return spec{Check{
		ID: "CMK-020", Title: "The key's life is its own, not a certificate's",
		Family: FamilyKey, Severity: Medium, SubjectKind: event.SubjectKey, Remedy: remedyNone, Cadence: CadenceSweep,
		Breaks: "whoever renews or deletes the certificate renews or deletes the key, without a thought of the cluster",
		Guidance: "Create a key of its own for the cluster and change to it in a maintenance window. Until then, keep the certificate " +
			"and its policy as they are.",
	}, judgeKeyManaged}
}

func judgeKeyManaged(s *scene) finding {
	b, ok := s.bundle()
	switch {
	case !ok:
		return s.cannotTell()
	case b.Managed:
		return broken(remedyNone, "the key belongs to a certificate of the same name (managed: true)")
	}
	return fine("the key belongs to no certificate")
}
