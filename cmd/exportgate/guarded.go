package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// guarded is a command that runs under a hold.
type guarded struct {
	client     *client
	name       name
	soft       bool
	ttl, grace patience
	reason     string
}

// run places the hold, runs the command, and releases the hold whatever happens in between. The error has the exit code.
func (g *guarded) run(ctx context.Context, command []string) error {
	if _, err := exec.LookPath(command[0]); err != nil {
		return cannotRun(err) // before anybody is held up
	}
	signals, stop := g.client.con.catch()
	defer stop()
	service, disconnect, err := g.client.connect()
	if err != nil {
		return err
	}
	defer disconnect()
	claim := &claim{guarded: g, service: service}
	if err := claim.place(ctx); err != nil {
		return &exitError{exitNotHeld, err}
	}
	// From here on a signal is for the command, which this program has to outlive.
	ctx = context.WithoutCancel(ctx)
	code, killed, err := g.attend(ctx, claim, command, signals)
	lost := claim.release(ctx)
	switch {
	case err != nil:
		return errors.Join(cannotRun(err), lost)
	case lost != nil && (code == exitOK || killed):
		return &exitError{exitHoldLost, lost}
	}
	return &exitError{code, lost}
}

// attend runs the command to its end. It renews the hold and passes signals on meanwhile, and ends the command when the
// hold is lost. The error is that of a command that did not start.
func (g *guarded) attend(
	ctx context.Context, claim *claim, command []string, signals <-chan os.Signal,
) (code int, killed bool, err error) {
	held, lose := context.WithCancel(ctx)
	defer lose()
	con := g.client.con
	shared := con.interactive
	cmd := exec.CommandContext(held, command[0], command[1:]...) //nolint:gosec // To run what the user says is its job.
	cmd.Stdin, cmd.Stdout, cmd.Stderr = con.stdin, con.stdout.Writer, con.stderr.Writer
	cmd.Env = slices.Concat(con.env, []string{
		"EXPORTGATE_HOLD=" + claim.hold.GetId(), "EXPORTGATE_HOLD_UID=" + claim.hold.GetUid(),
	})
	cmd.SysProcAttr = ownGroup(shared)
	cmd.Cancel = func() error { return terminate(cmd.Process, shared) }
	cmd.WaitDelay = time.Duration(g.grace)
	if err := cmd.Start(); err != nil {
		return 0, false, err
	}
	running, ended := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() {
		if !claim.keep(running) {
			lose()
		}
	})
	tasks.Go(func() { forward(running, signals, cmd.Process, shared) })
	_ = cmd.Wait() // The state has it all.
	ended()
	tasks.Wait()
	killed = held.Err() != nil
	if killed {
		killGroup(cmd.Process, shared)
	}
	return processCode(cmd.ProcessState), killed, nil
}

// forward passes signals on to the command until ctx ends.
func forward(ctx context.Context, signals <-chan os.Signal, process *os.Process, shared bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			if !shared || !fromTerminal(s) { // What a terminal sends has reached the command already.
				passOn(process, s, shared)
			}
		}
	}
}

// notice tells people what they should know of a run that goes on.
func (g *guarded) notice(format string, args ...any) {
	g.client.con.stderr.say(fmt.Sprintf("exportgate: hold "+g.name.String()+": "+format+"\n", args...))
}
