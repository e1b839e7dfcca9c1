package alert

import "cmkguard/internal/fault"

// Class says what failed about a delivery: who has to mend it.
type Class string

// The classes.
const (
	ClassAuth    Class = "auth"    // the receiver does not take our credentials, or the channel has none
	ClassRate    Class = "rate"    // we send more than the receiver wants
	ClassServer  Class = "server"  // the receiver is not well
	ClassPayload Class = "payload" // the receiver will never take this message
	ClassNetwork Class = "network" // no answer: it may have been taken
)

// CodeRate is the code (fault.Error) of a Transient error by which a channel says
// that it is being throttled. A delay alone does not say it: a receiver that is not
// well asks for one too.
const CodeRate = "rate"

// ClassOf returns the class of a channel's error; "" for none.
func ClassOf(err error) Class {
	switch kind := fault.KindOf(err); {
	case err == nil:
		return ""
	case kind == fault.Denied:
		return ClassAuth
	case kind == fault.Invalid:
		return ClassPayload
	case kind == fault.Transient && fault.CodeOf(err) == CodeRate:
		return ClassRate
	case kind == fault.Transient:
		return ClassServer
	}
	return ClassNetwork
}
