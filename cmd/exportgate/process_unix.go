//go:build unix

package main

import (
	"os"
	"syscall"
)

// endingSignals are those that end a program which does not catch them.
func endingSignals() []os.Signal { return []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} }

// ownGroup puts a command into a process group of its own, so that a signal reaches all that it has started: a script that
// is terminated alone leaves its children behind. A command that shares this program's terminal has to share its group
// too, or it could not read from the terminal.
func ownGroup(shared bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: !shared} }

// fromTerminal tells the signal that a terminal sends to the whole group.
func fromTerminal(s os.Signal) bool { return s == syscall.SIGINT }

// terminate asks a command to end.
func terminate(process *os.Process, shared bool) error { return send(process, syscall.SIGTERM, shared) }

// passOn sends a signal to a command. One that has ended does not need it any more.
func passOn(process *os.Process, s os.Signal, shared bool) { _ = send(process, s, shared) }

// killGroup kills what a command has left behind.
func killGroup(process *os.Process, shared bool) {
	if !shared {
		passOn(process, syscall.SIGKILL, shared)
	}
}

func send(process *os.Process, s os.Signal, shared bool) error {
	number, ok := s.(syscall.Signal)
	if shared || !ok {
		return process.Signal(s)
	}
	return syscall.Kill(-process.Pid, number)
}

// processCode is the exit code of a command, as a shell has it.
func processCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignalled + int(status.Signal())
	}
	return state.ExitCode()
}
