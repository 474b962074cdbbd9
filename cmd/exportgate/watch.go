package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func newWatchCommand(con console) *cobra.Command {
	c := newClient(con)
	c.writeJSON = writeJSONLine
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show the status now and at every change",
		Long: `Show the status now and at every change, until it is interrupted, which ends it with code 0.

On a terminal it is drawn in place: the holds and what happened last before the replicas. Elsewhere each change is
a line: of what happened, and of what the cluster shows. With -o json each line is one JSON document: a
WatchStatusResponse, or at the end the error as a google.rpc.Status.

A connection that is lost is made again, from where it was. Standard error, or the screen, tells of that, and the
output tells where events were missed meanwhile. --timeout is how long the first status may take.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.watch(cmd.Context()) },
	}
	c.registerServer(cmd.Flags())
	cmd.Flags().VarP(&c.output, "output", "o", "form of the output")
	return cmd
}

// watch shows what happens until ctx ends, which is no error.
func (c *client) watch(ctx context.Context) error {
	service, disconnect, err := c.connect()
	if err != nil {
		return err
	}
	defer disconnect()
	ctx, stop := context.WithCancel(ctx)
	source := stream{service, time.Duration(c.timeout), firstReconnectDelay}
	arriving, ended := make(chan news), make(chan error, 1)
	var following sync.WaitGroup
	following.Go(func() { ended <- source.follow(ctx, arriving) })
	err = c.view(arriving, ended)
	stop()
	following.Wait()
	return err
}

// view shows the news until their source has ended, or the output.
func (c *client) view(arriving <-chan news, ended <-chan error) error {
	show := (&textLines{con: c.con}).show
	var ticks <-chan time.Time
	switch {
	case c.output.value == "json":
		show = (&jsonLines{c.con}).show
	case c.con.draws(c.con.stdout):
		screen := &live{con: c.con, server: c.server.String()}
		show = screen.show
		defer screen.end()
		second := time.NewTicker(time.Second) // the finest unit of a countdown
		defer second.Stop()
		ticks = second.C
	}
	for {
		var err error
		select {
		case n := <-arriving:
			err = show(n)
		case <-ticks:
			err = show(news{})
		case err := <-ended:
			if err != nil {
				return c.fail("watch", err)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}
