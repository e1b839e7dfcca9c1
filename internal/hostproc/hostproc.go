// Package hostproc runs the built binary as the Azure Functions host would: as
// a child process with the host's environment, driven over HTTP in the host's
// bytes, and ended with SIGKILL. The demo and the tests use it; nothing that
// ships does.
package hostproc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"cmkguard/handlers/keyvaultevents"
	"cmkguard/internal/localhost"
)

// Child is the binary as the Functions host would run it. It is started,
// killed and started again; its output is kept over all of them.
type Child struct {
	binary string
	args   []string
	env    []string
	port   string
	cmd    *exec.Cmd
	out    *logBuffer
}

// logBuffer keeps what the child printed.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// New returns a Child of the binary with these settings; Start starts it.
// args are those of a run that is not the host's default.
func New(binary string, env map[string]string, args ...string) *Child {
	c := &Child{binary: binary, args: args, out: &logBuffer{}}
	for k, v := range env {
		c.env = append(c.env, k+"="+v)
	}
	return c
}

// Start runs the binary with the host's environment and waits until GET /
// answers, as the host does.
func (c *Child) Start(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, c.port, _ = net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return err
	}
	c.cmd = exec.CommandContext(ctx, c.binary, c.args...)
	c.cmd.Env = append(append(os.Environ(), c.env...), "FUNCTIONS_CUSTOMHANDLER_PORT="+c.port, "FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+uuid.NewString())
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("%w (make build makes %s)", err, c.binary)
	}
	return Until(ctx, "the handler answers GET /", func() (bool, error) {
		resp, err := http.Get("http://127.0.0.1:" + c.port + "/")
		if err != nil {
			return false, nil //nolint:nilerr // not yet
		}
		return true, resp.Body.Close()
	})
}

// URL is where it listens.
func (c *Child) URL() string { return "http://127.0.0.1:" + c.port }

// PID is the running process's.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Output is all that it printed so far, over every start.
func (c *Child) Output() string {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.out.b.String()
}

// Kill is SIGKILL: what the host does, and what a crash looks like.
func (c *Child) Kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL)
	_ = c.cmd.Wait()
}

// Stop kills what is still running.
func (c *Child) Stop() {
	if c.cmd != nil && c.cmd.ProcessState == nil {
		c.Kill()
	}
}

// Event posts one Event Grid event in the host's bytes.
func (c *Child) Event(ctx context.Context, event json.RawMessage) error {
	call := localhost.Call{Function: keyvaultevents.Name, UtcNow: time.Now().UTC(), RandGuid: uuid.NewString()}
	body, err := localhost.EventGridEnvelope(call, keyvaultevents.Binding, event)
	if err != nil {
		return err
	}
	return localhost.Post(ctx, http.DefaultClient, "http://127.0.0.1:"+c.port, keyvaultevents.Name, uuid.NewString(), body)
}

// Tail returns the last lines that it printed.
func (c *Child) Tail() string {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(c.out.b.String()), "\n")
	return "the handler's last lines:\n" + strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// Command runs the binary's command line with the same settings.
func (c *Child) Command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var errTime = errors.New("it did not come to pass in time")

// Until asks every 20 ms, for 30 seconds at most.
func Until(ctx context.Context, what string, ask func() (bool, error)) error {
	return Within(ctx, 30*time.Second, what, ask)
}

// Within asks every 20 ms, for as long as it may take at most.
func Within(ctx context.Context, most time.Duration, what string, ask func() (bool, error)) error {
	end := time.Now().Add(most)
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w (%s)", what, errTime, most)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
