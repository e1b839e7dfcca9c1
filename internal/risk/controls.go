package risk

import "strings"

// Control is a number in a framework that a check's answer is evidence for. The
// numbers are vendors' mappings (Azure Policy's groups, Prowler's), not the
// standards' own text: have an assessor confirm.
type Control struct {
	Framework string `json:"framework"`
	Numbers   string `json:"numbers"`
}

// topics are the controls that many checks share.
func topics() map[string][]Control {
	return map[string][]Control{
		"custody": {
			{"PCI DSS 4.0.1", "3.6.1, 3.6.1.1, 3.6.1.2, 3.6.1.4"}, {"NIST SP 800-53 R5", "SC-12, SC-28(3)"}, {"ISO/IEC 27002:2022", "8.24"},
			{"SOC 2", "CC6.1"}, {"HIPAA", "164.312(a)(2)(iv)"}, {"DORA", "Art. 9(3)(a), (c)"}, {"CSA CCM 4", "CEK-01 to CEK-04"}, {"MCSB", "DP-5, DP-6"},
		},
		"rotation": {
			{"PCI DSS 4.0.1", "3.7.1 to 3.7.5"}, {"NIST SP 800-53 R5", "SC-12, SC-12(2), CM-3(6)"}, {"ISO/IEC 27002:2022", "8.24"},
			{"SOC 2", "CC6.1, CC8.1"}, {"HIPAA", "164.312(a)(2)(iv)"}, {"C5:2025", "CRY-07, CRY-09, CRY-14"}, {"CSA CCM 4", "CEK-10 to CEK-18"}, {"MCSB", "DP-6"},
		},
		"recovery": {
			{"PCI DSS 4.0.1", "3.7.5"}, {"NIST SP 800-53 R5", "CP-9, MP-6, SI-7(5)"}, {"ISO/IEC 27002:2022", "8.24"},
			{"SOC 2", "CC7.4, CC9.1"}, {"HIPAA", "164.308(a)(7)(ii)(A-C)"}, {"C5:2025", "CRY-16"}, {"MCSB", "DP-8"},
		},
		"audit": {
			{"PCI DSS 4.0.1", "10.2, 10.3.2 to 10.3.4, 10.4.2.1, 10.7.2, 10.7.3"}, {"NIST SP 800-53 R5", "AU-2"}, {"ISO/IEC 27002:2022", "8.15"},
			{"SOC 2", "CC7.2, CC7.3, CC7.4"}, {"HIPAA", "164.312(b)"}, {"C5:2025", "OPS-11, OPS-15"}, {"MCSB", "LT-3, LT-4"},
		},
	}
}

// controlsOf returns the controls by check: those of its topic, then its own.
func controlsOf() map[string][]Control {
	out := map[string][]Control{}
	shared := topics()
	for topic, checks := range map[string]string{
		"custody":  "001 002 003 005 006 007 008 014 015 016 017 020 027 029 032 033 034 035 037 038 039 043 050 051 052 053 054 055 056 060 061 065 066",
		"rotation": "012 013 018 019 021 022 023 024 025 026",
		"recovery": "004 010 011 028 030 031 036 041",
		"audit":    "040 042 057 062 063 064 067",
	} {
		for _, n := range strings.Fields(checks) {
			out["CMK-"+n] = append([]Control{}, shared[topic]...)
		}
	}
	for _, own := range ownControls() {
		out[own[0]] = append(out[own[0]], Control{own[1], own[2]})
	}
	return out
}

// ownControls are check, framework, numbers of what only one check supports.
func ownControls() [][3]string {
	return [][3]string{
		{"CMK-001", "Azure Policy", "09aa11bb-87ec-409f-bf0b-49b7c1561a87"}, {"CMK-060", "Azure Policy", "09aa11bb-87ec-409f-bf0b-49b7c1561a87"},
		{"CMK-013", "Azure Policy", "5ff38825-c5d8-47c5-b70e-069a21955146"}, {"CMK-014", "Azure Policy", "75c4f823-d65c-4f29-a733-01d0077fdbcb"},
		{"CMK-015", "Azure Policy", "82067dbb-e53b-4e06-b631-546d197452d9"}, {"CMK-017", "Azure Policy", "587c79fe-dd04-4a5e-9d0b-f89598c7261b"},
		{"CMK-017", "CIS Azure 5.0", "8.3.10"}, {"CMK-018", "CIS Azure 5.0", "8.3.1, 8.3.2"},
		{"CMK-018", "Azure Policy", "152b15f7-8e1f-4c1f-ab71-8c010ba5dbc0"},
		{"CMK-019", "Azure Policy", "49a22571-d204-4c91-a7b6-09b1a586fbc9, c26e4b24-cf98-4c67-b48b-5a25c4c69eb9"},
		{"CMK-021", "CIS Azure 5.0", "8.3.9"}, {"CMK-021", "Azure Policy", "d8cf8476-a2ec-4916-896e-992351803c44"},
		{"CMK-023", "CIS Azure 5.0", "8.3.9"}, {"CMK-030", "Azure Policy", "1e66c121-a66a-4b1f-9b83-0fd99bf0fc2d"},
		{"CMK-031", "CIS Azure 5.0", "8.3.5"}, {"CMK-031", "Azure Policy", "0b60c0b2-2dc2-4e1c-b5c9-abbed971de53"},
		{"CMK-037", "CIS Azure 5.0", "8.3.6"}, {"CMK-037", "Azure Policy", "12d4fa5e-1f9f-4c21-97a9-b99b3c6611b5"},
		{"CMK-039", "CIS Azure 5.0", "8.3.7, 8.3.8"},
		{"CMK-039", "Azure Policy", "55615ac9-af46-4a59-874e-391cc3dfb490, 405c5871-3e91-4644-8a63-58e19d68ff5b, a6abeaec-4d90-4a02-805f-6b26c4d3fbe9"},
		{"CMK-040", "CIS Azure 5.0", "6.1.1.4"}, {"CMK-040", "Azure Policy", "cf820ca0-f99e-4f3e-84fb-66e913812d21"},
		{"CMK-051", "MCSB", "PA-7"}, {"CMK-055", "MCSB", "PA-7"}, {"CMK-061", "ISO/IEC 27002:2022", "5.9"}, {"CMK-064", "CIS Azure 5.0", "8.1.8.1"},
	}
}
