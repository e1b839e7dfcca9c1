// Package azurite runs Microsoft's storage emulator for tests: started, stopped
// and started again on the same data. Nothing that ships imports it.
//
// CMKGUARD_AZURITE names its start file (make e2e installs it from npm); without
// the variable, tests that need it are skipped.
package azurite

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cmkguard/internal/store/azstore"
)

// Setting names the emulator's start file.
const Setting = "CMKGUARD_AZURITE"

// Account and Key are the emulator's, which everybody knows (learn.microsoft.com
// storage/common/storage-use-azurite).
const (
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Server is one emulator with its data.
type Server struct {
	t     testing.TB
	dir   string
	ports [3]string // blob, queue, table
	cmd   *exec.Cmd
}

// Start starts an emulator that ends with the test, or skips the test.
func Start(t testing.TB) *Server {
	t.Helper()
	if os.Getenv(Setting) == "" {
		t.Skip("needs the storage emulator: make e2e")
	}
	s := &Server{t: t, dir: t.TempDir()}
	for i := range s.ports {
		s.ports[i] = freePort(t)
	}
	s.Restart()
	t.Cleanup(s.kill)
	return s
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// Restart starts the emulator on the data that is there and waits until it
// answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.cmd = exec.Command("node", os.Getenv(Setting), "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--location", s.dir,
		"--blobHost", "127.0.0.1", "--queueHost", "127.0.0.1", "--tableHost", "127.0.0.1",
		"--blobPort", s.ports[0], "--queuePort", s.ports[1], "--tablePort", s.ports[2])
	out, err := os.OpenFile(filepath.Join(s.dir, "out.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("%s: %v", os.Getenv(Setting), err)
	}
	for _, port := range s.ports {
		s.await(port)
	}
}

func (s *Server) await(port string) {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(filepath.Join(s.dir, "out.txt"))
			s.t.Fatalf("the emulator does not answer: %s", said)
		}
	}
}

// Stop ends it in the middle of whatever it is doing. It is told to stop, not
// killed: the emulator writes its tables and queues to disk every few seconds,
// and what it had acknowledged would be gone, which a storage account's is not.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) {
	if s.cmd == nil || s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
}

// Options returns the way to it, with names of their own.
func (s *Server) Options(prefix string) azstore.Options {
	at := func(i int) string { return fmt.Sprintf("http://127.0.0.1:%s/%s", s.ports[i], Account) }
	return azstore.Options{
		Blobs: at(0), Queues: at(1), Tables: at(2), Prefix: strings.ToLower(prefix),
		Key: &azstore.SharedKey{Account: Account, Key: Key},
	}
}

// Env returns the settings that lead the program to it, in the names that it
// has outside of tests.
func (s *Server) Env() map[string]string {
	o := s.Options("")
	return map[string]string{
		"CMKGUARD_STATE": "azure",
		"CMKGUARD_STORAGE": fmt.Sprintf("AccountName=%s;AccountKey=%s;BlobEndpoint=%s;QueueEndpoint=%s;TableEndpoint=%s",
			Account, Key, o.Blobs, o.Queues, o.Tables),
	}
}
