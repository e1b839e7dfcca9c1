package main

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

// child is the binary as the Functions host would run it.
type child struct {
	binary string
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

func newChild(binary string, env map[string]string) *child {
	c := &child{binary: binary, out: &logBuffer{}}
	for k, v := range env {
		c.env = append(c.env, k+"="+v)
	}
	return c
}

// start runs the binary with the host's environment and waits until GET /
// answers, as the host does.
func (c *child) start(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, c.port, _ = net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return err
	}
	c.cmd = exec.CommandContext(ctx, c.binary)
	c.cmd.Env = append(append(os.Environ(), c.env...), "FUNCTIONS_CUSTOMHANDLER_PORT="+c.port, "FUNCTIONS_CUSTOMHANDLER_WORKER_ID="+uuid.NewString())
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("%w (make build makes %s)", err, c.binary)
	}
	return until(ctx, "the handler answers GET /", func() (bool, error) {
		resp, err := http.Get("http://127.0.0.1:" + c.port + "/")
		if err != nil {
			return false, nil
		}
		return true, resp.Body.Close()
	})
}

// kill is SIGKILL: what the host does, and what a crash looks like.
func (c *child) kill() {
	_ = c.cmd.Process.Signal(syscall.SIGKILL)
	_ = c.cmd.Wait()
}

func (c *child) stop() {
	if c.cmd != nil && c.cmd.ProcessState == nil {
		c.kill()
	}
}

// event posts one Event Grid event in the host's bytes.
func (c *child) event(ctx context.Context, event json.RawMessage) error {
	call := localhost.Call{Function: keyvaultevents.Name, UtcNow: time.Now().UTC(), RandGuid: uuid.NewString()}
	body, err := localhost.EventGridEnvelope(call, keyvaultevents.Binding, event)
	if err != nil {
		return err
	}
	return localhost.Post(ctx, http.DefaultClient, "http://127.0.0.1:"+c.port, keyvaultevents.Name, uuid.NewString(), body)
}

func (c *child) tail() string {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(c.out.b.String()), "\n")
	return "the handler's last lines:\n" + strings.Join(lines[max(0, len(lines)-40):], "\n")
}

// command runs the binary's command line on the demo's state.
func (c *child) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.binary, args...)
	cmd.Env = append(os.Environ(), c.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var errTime = errors.New("it did not come to pass in 30 seconds")

// until asks every 20 ms, for 30 seconds at most.
func until(ctx context.Context, what string, ask func() (bool, error)) error {
	end := time.Now().Add(30 * time.Second)
	for {
		ok, err := ask()
		if ok || err != nil {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s: %w", what, errTime)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
