package funchost

import "time"

// watch decides, from signals and polls, when Run leaves. It counts polls and
// reads no clock: the process's clock may be a simulated one that jumps.
type watch struct {
	life   Life
	server *Server
	parent int

	signal  string        // the last signal's name, "" before any
	bounded bool          // leave at Drain after the signal, whatever is in flight
	waited  time.Duration // since bounded
	idle    time.Duration // since the signal, or the last invocation seen after it
}

// signalled notes a signal. A second interrupt is a person who means it.
func (w *watch) signalled(name string, bounded bool) {
	w.bounded = w.bounded || bounded || w.signal != ""
	w.signal = name
	w.server.log.Info().Str("signal", name).Int("active", w.server.Active()).
		Msg("signal; serving on while invocations are in flight")
}

// tick notes that one Poll has passed.
func (w *watch) tick() {
	if w.signal != "" {
		w.idle += w.life.Poll
	}
	if w.server.Active() > 0 {
		w.idle = 0
	}
	if w.bounded {
		w.waited += w.life.Poll
	}
}

// leave returns why it is time to go, or "".
func (w *watch) leave() string {
	switch {
	case w.life.Parent != nil && w.life.Parent() != w.parent:
		return "the parent is gone"
	case w.signal == "":
		return ""
	case w.life.Parent == nil:
		return w.signal
	case w.bounded && w.waited >= w.life.Drain:
		return w.signal + ", after the bound"
	case w.idle >= w.life.Quiet:
		return w.signal + ", idle"
	}
	return ""
}

func (w *watch) exit() int {
	if w.life.Parent == nil {
		return ExitOK
	}
	return ExitLeft
}
