package email_test

import (
	"sync"
	"testing"

	"cmkguard/internal/alert"
	"cmkguard/internal/alert/alerttest"
)

var mu sync.Mutex // of the servers by address

func locked(f func(*testing.T, alerttest.Mood) (string, func() []alerttest.Call)) func(*testing.T, alerttest.Mood) (string, func() []alerttest.Call) {
	return func(t *testing.T, m alerttest.Mood) (string, func() []alerttest.Call) {
		mu.Lock()
		defer mu.Unlock()
		return f(t, m)
	}
}

func lockedOpen(f func(string) (alert.Channel, error)) func(string) (alert.Channel, error) {
	return func(addr string) (alert.Channel, error) {
		mu.Lock()
		defer mu.Unlock()
		return f(addr)
	}
}
