// Package e2e holds the tests that drive the built binary from outside, over
// the host's protocol and against the simulated Azure, and kill it. They take
// minutes: make crash runs them. It has no code of its own.
package e2e
