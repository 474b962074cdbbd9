//go:build !unix

package main

import (
	"os"
	"syscall"
)

// endingSignals are those that end a program which does not catch them.
func endingSignals() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

// ownGroup leaves a command where the console reaches it.
func ownGroup(bool) *syscall.SysProcAttr { return nil }

// fromTerminal tells the signals that a console sends to every program on it.
func fromTerminal(os.Signal) bool { return true }

// terminate ends a command: there is no way to ask it to.
func terminate(process *os.Process, _ bool) error { return process.Kill() }

// passOn does nothing: the console has told the command.
func passOn(*os.Process, os.Signal, bool) {}

// killGroup does nothing: there are no groups.
func killGroup(*os.Process, bool) {}

// processCode is the exit code of a command.
func processCode(state *os.ProcessState) int { return state.ExitCode() }
