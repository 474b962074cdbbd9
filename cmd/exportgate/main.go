// Command exportgate pauses and resumes exporting on every partition of a Zeebe cluster: it is the server, and a client
// of the server.
//
// The verbs that are clients know the published API alone. Only serve and dev know package server.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"google.golang.org/grpc/grpclog"
)

// version is set by the linker (-X main.version=1.2.3); without it the build information tells.
var version string

func main() {
	// grpc and grpc-gateway know only a logger of the whole process, and anybody who reaches a port can make them say things
	// there. Whoever wants to hear them sets grpc's own variable.
	if os.Getenv("GRPC_GO_LOG_SEVERITY_LEVEL") == "" {
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process the hard way
	con := console{
		env: os.Environ(), stdin: os.Stdin, stdout: screenOf(os.Stdout), stderr: screenOf(os.Stderr), signals: catchSignals,
	}
	con.interactive = con.stdout.columns != nil || con.stderr.columns != nil || screenOf(os.Stdin).columns != nil
	code := execute(ctx, newRootCommand(con), os.Args[1:])
	stop()
	os.Exit(code)
}

// catchSignals delivers every signal that the process would end on, so that it can first end what it began.
func catchSignals() (<-chan os.Signal, func()) {
	signals := make(chan os.Signal, len(endingSignals())) // one of each: a repeated one says nothing new
	for _, s := range endingSignals() {
		if !signal.Ignored(s) { // nohup(1) has its reasons
			signal.Notify(signals, s)
		}
	}
	return signals, func() { signal.Stop(signals) }
}
