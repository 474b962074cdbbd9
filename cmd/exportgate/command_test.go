package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// command is what the test program is where it is run as a command under a hold.
func command(part string, args []string) int {
	switch part {
	case "exit":
		code, _ := strconv.Atoi(args[0])
		return code
	case "say":
		fmt.Printf("%s %s %s\n", os.Getenv("EXPORTGATE_HOLD"), os.Getenv("EXPORTGATE_HOLD_UID"), args)
		_, _ = io.Copy(os.Stderr, os.Stdin)
		return 0
	case "wait": // until it is terminated, and then ends as if nothing had been
		return wait(0, syscall.SIGTERM)
	case "interrupt":
		return wait(7, os.Interrupt)
	case "die": // of the first signal
		fmt.Println("ready")
		<-time.After(time.Minute)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ready")
		<-time.After(time.Minute)
	}
	return 99
}

func wait(code int, s os.Signal) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, s)
	fmt.Println("ready")
	select {
	case <-signals:
		return code
	case <-time.After(time.Minute):
		return 99
	}
}
