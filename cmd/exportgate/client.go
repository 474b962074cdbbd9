package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// clientHelp ends the help of every verb that calls the server.
const clientHelp = `

With -o json standard output is one JSON document, whichever way the call ends: the response, or with exit code 1
the error as a google.rpc.Status with its details. What people should know of an error is on standard error.`

const (
	// connectTimeout bounds one attempt to connect, so that an address that swallows packets is told as such.
	connectTimeout = 5 * time.Second
	// maxAnswer in bytes has room for the status of some hundred thousand replicas.
	maxAnswer = 64 << 20
	// pollInterval is how often the progress bar looks at the status.
	pollInterval = 300 * time.Millisecond
)

// client is what the verbs that call the server have in common.
type client struct {
	con        console
	server     address
	timeout    patience
	output     choice
	noProgress bool
}

func newClient(con console) *client {
	c := &client{
		con:     con,
		server:  "localhost:9601",
		timeout: patience(30 * time.Second),
		output:  choice{value: "table", words: []string{"table", "json"}},
	}
	if server := con.lookup("EXPORTGATE_SERVER"); server != "" {
		c.server = address(server)
	}
	return c
}

func (c *client) register(flags *pflag.FlagSet) {
	flags.Var(&c.server, "server", "address of the server's gRPC port, also from EXPORTGATE_SERVER")
	flags.Var(&c.timeout, "timeout", "how long to wait for the answer; the server may allow less")
	flags.VarP(&c.output, "output", "o", "form of the output")
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
}

// run calls the server and shows what came of it. An error explains itself to people.
func (c *client) run(ctx context.Context, op operation) error {
	if err := c.server.Set(c.server.String()); err != nil { // flags were checked already
		return usageError{fmt.Errorf("EXPORTGATE_SERVER %q %w", c.server, err)}
	}
	connection, err := c.dial()
	if err != nil {
		return usageError{fmt.Errorf("--server %s: %w", c.server, err)}
	}
	defer func() { _ = connection.Close() }() // fails only where it is closed already

	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.timeout))
	defer cancel()
	service := exportgatev1.NewExportingServiceClient(connection)
	var result answer
	call := func() error {
		var err error
		result, err = op.call(ctx, service)
		return err
	}
	if op.waits && !c.noProgress && c.con.draws(c.con.stderr) {
		bar := progress{c.con.stderr, service, op.verb, op.reached, pollInterval}
		err = bar.during(ctx, call)
	} else {
		err = call()
	}
	if err != nil {
		return c.fail(op, err)
	}
	return c.show(result)
}

// dial makes a connection in plaintext. It is not made before the first call, which fails if it cannot be.
func (c *client) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("dns:///"+c.server.String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUserAgent("exportgate/"+buildVersion().Version),
		grpc.WithDisableServiceConfig(), // saves a query for DNS records that nobody sets
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: connectTimeout}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	)
}

func (c *client) show(result answer) error {
	if c.output.value == "json" {
		return writeJSON(c.con.stdout, result.message)
	}
	text := newReport(c.con.stdout.width(), c.con.colourful()).answer(result)
	if _, err := io.WriteString(c.con.stdout, text); err != nil {
		return fmt.Errorf("write the answer: %w", err)
	}
	return nil
}
