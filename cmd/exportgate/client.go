package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// clientHelp ends the help of every verb that calls the server.
const clientHelp = `

With -o json standard output is one JSON document, whichever way the call ends: the response, or where the call
failed the error as a google.rpc.Status with its details. What people should know of an error is on standard
error. 'exportgate --help' lists the exit codes.`

const (
	// connectTimeout bounds one attempt to connect, so that an address that swallows packets is told as such.
	connectTimeout = 5 * time.Second
	// firstReconnectDelay is about how long after a lost connection a watch tries again; each failure lets that grow.
	firstReconnectDelay = 500 * time.Millisecond
	// maxReconnectDelay bounds how long after a failed attempt to connect the next one begins.
	maxReconnectDelay = 10 * time.Second
	// keepaliveTime is after how much silence a connection in use is tried.
	keepaliveTime = 30 * time.Second
	// maxAnswer in bytes has room for the status of some hundred thousand replicas.
	maxAnswer = 64 << 20
	// pollInterval is how often the progress bar looks at the status.
	pollInterval = 300 * time.Millisecond
)

// client is what the verbs that call the server have in common.
type client struct {
	con        console
	server     address
	identity   identity
	timeout    patience
	output     choice
	noProgress bool
	writeJSON  func(io.Writer, proto.Message) error
}

func newClient(con console) *client {
	c := &client{
		con:      con,
		server:   "localhost:9601",
		identity: newIdentity(con),
		timeout:  patience(30 * time.Second),
		output:   choice{value: "table", words: []string{"table", "json"}},

		writeJSON: writeJSON,
	}
	if server := con.lookup("EXPORTGATE_SERVER"); server != "" {
		c.server = address(server)
	}
	return c
}

func (c *client) register(flags *pflag.FlagSet) {
	c.registerServer(flags)
	c.registerProgress(flags)
	flags.VarP(&c.output, "output", "o", "form of the output")
}

// registerServer registers which server, and how long it may take.
func (c *client) registerServer(flags *pflag.FlagSet) {
	flags.Var(&c.server, "server", "address of the server's gRPC port, also from EXPORTGATE_SERVER")
	c.identity.register(flags)
	flags.Var(&c.timeout, "timeout", "how long to wait for the answer; the server may allow less")
}

func (c *client) registerProgress(flags *pflag.FlagSet) {
	flags.BoolVar(&c.noProgress, "no-progress", false, "show no progress bar; there is none without a terminal either")
}

// operation is one call and what to show of it.
type operation struct {
	verb string
	call func(context.Context, exportgatev1.ExportingServiceClient) (answer, error)
	// waits tells that the call lasts until every replica is in a phase for which reached is true.
	waits   bool
	reached func(exportgatev1.Phase) bool
}

// answer is the response of a call, for programs and for people.
type answer struct {
	message  proto.Message
	headline string // empty where the status says it all
	status   *exportgatev1.Status
	past     int // how many holds that have ended, and how many events, to show
}

// run calls the server and shows what came of it. An error explains itself to people.
func (c *client) run(ctx context.Context, op operation) error {
	service, disconnect, err := c.connect()
	if err != nil {
		return err
	}
	defer disconnect()
	result, err := c.ask(ctx, service, op)
	if err != nil {
		return c.fail(op.verb, err)
	}
	return c.show(result)
}

// ask makes the call, and draws a progress bar meanwhile where it lasts and people look.
func (c *client) ask(ctx context.Context, service exportgatev1.ExportingServiceClient, op operation) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.timeout))
	defer cancel()
	var result answer
	call := func() error {
		var err error
		result, err = op.call(ctx, service)
		return err
	}
	if op.waits && !c.noProgress && c.con.draws(c.con.stderr) {
		bar := progress{c.con.stderr, service, op.verb, op.reached, pollInterval}
		return result, bar.during(ctx, call)
	}
	err := call()
	return result, err
}

// connect returns the service, and what closes the connection to it. That is not made before the first call, which fails if
// it cannot be.
func (c *client) connect() (exportgatev1.ExportingServiceClient, func(), error) {
	if err := c.server.Set(c.server.String()); err != nil { // flags were checked already
		return nil, nil, usageError{fmt.Errorf("EXPORTGATE_SERVER %q %w", c.server, err)}
	}
	options, err := c.identity.dialOptions(c.server)
	if err != nil {
		return nil, nil, err
	}
	again := backoff.DefaultConfig
	again.MaxDelay = maxReconnectDelay
	connection, err := grpc.NewClient("dns:///"+c.server.String(), append(options,
		grpc.WithUserAgent("exportgate/"+buildVersion().Version),
		grpc.WithDisableServiceConfig(), // saves a query for DNS records that nobody sets
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: connectTimeout}),
		// A watch would otherwise wait for ever on a server whose machine is gone.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: connectTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	)...)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--server %s: %w", c.server, err)}
	}
	disconnect := func() { _ = connection.Close() } // fails only where it is closed already
	return exportgatev1.NewExportingServiceClient(connection), disconnect, nil
}

func (c *client) show(result answer) error {
	if c.output.value == "json" {
		return c.writeJSON(c.con.stdout, result.message)
	}
	text := newReport(c.con.stdout.width(), c.con.colourful(), c.con.now()).answer(result)
	if _, err := io.WriteString(c.con.stdout, text); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
