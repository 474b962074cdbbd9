package peers

import (
	"context"
	"io"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/exportgate/exportgate/server/servertest"
)

// Process is a program that runs beside the test. Its methods may be called by many goroutines.
type Process struct {
	command *exec.Cmd
	said    servertest.Said
	end     context.CancelFunc
	exited  chan struct{} // closed when it has ended
}

// grace is how long a program has to end by itself.
const grace = 20 * time.Second

// Start starts a program, which ends with the test at the latest. What it says is in the test's log.
func Start(t *testing.T, path string, args ...string) *Process {
	t.Helper()
	ctx, end := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &Process{end: end, exited: make(chan struct{})}
	p.command = exec.CommandContext(ctx, path, args...) //nolint:gosec // Starting the programs that tests name is what it is for.
	p.command.Cancel = func() error { return p.command.Process.Signal(syscall.SIGTERM) }
	p.command.WaitDelay = grace
	output := io.MultiWriter(&p.said, t.Output())
	p.command.Stdout, p.command.Stderr = output, output
	if err := p.command.Start(); err != nil {
		end()
		t.Fatalf("start %s: %v", path, err)
	}
	go func() {
		defer close(p.exited)
		_ = p.command.Wait() // It was told to end, or whoever waits for what it says will see that it did.
	}()
	t.Cleanup(p.End)
	return p
}

// End asks the program to end, insists after a while, and waits until it has ended. It may be called again.
func (p *Process) End() {
	p.end()
	<-p.exited
}

// Says waits until the program has said something that matches, and returns the match and its groups. A program that ends
// without having said so fails the test.
func (p *Process) Says(t *testing.T, pattern string) []string {
	t.Helper()
	wanted, ended := regexp.MustCompile(pattern), false
	var found []string
	servertest.Await(t, p.command.Path+" says "+pattern, func() bool {
		select {
		case <-p.exited:
			ended = true
		default:
		}
		found = wanted.FindStringSubmatch(p.said.String())
		return found != nil || ended
	})
	if found == nil {
		t.Fatalf("%s ended (%v) without saying %s", p.command.Path, p.command.ProcessState, pattern)
	}
	return found
}
