package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/exportgate/exportgate/server"
)

// servers runs serve and dev with servers that only remember how they were called.
type servers struct {
	config  *server.Config
	options server.DevOptions
	err     error // what the server ends with
}

func (s *servers) run(ctx context.Context, config *server.Config, logger *slog.Logger) error {
	s.config = config
	logger.InfoContext(ctx, "running")
	return s.err
}

func (s *servers) runDev(ctx context.Context, c *server.Config, o server.DevOptions, logger *slog.Logger) error {
	s.options = o
	return s.run(ctx, c, logger)
}

// command runs a command line of serve or dev.
func (s *servers) command(t *testing.T, env []string, verb string, args ...string) result {
	t.Helper()
	var stdout, stderr strings.Builder
	con := console{env: append(env, "HOME=/home/me"), stdout: screen{Writer: &stdout}, stderr: screen{Writer: &stderr}}
	cmd := newServeCommand(con, s.run)
	if verb == "dev" {
		cmd = newDevCommand(con, s.runDev)
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	return result{execute(t.Context(), cmd, args), stdout.String(), stderr.String()}
}

const someBroker = "ZEEBE_BROKERS=http://zeebe-0:9600/actuator"

func TestServe(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		args []string
		ends error
		want int
		says string // is part of standard error
	}{
		{name: "runs", env: []string{someBroker}, want: exitOK, says: "level=INFO msg=running"},
		{name: "logs JSON", env: []string{someBroker}, args: []string{"--log.format=json"}, says: `"msg":"running"`},
		{
			name: "fails", env: []string{someBroker}, ends: errors.New("port 9600 is taken"), want: exitFailed,
			says: "exportgate: serve: port 9600 is taken\n",
		},
		{name: "no brokers", want: exitUsage, says: "exportgate: neither zeebe.brokers nor zeebe.gateway"},
		{name: "bad value", args: []string{"--grpc.port=x"}, want: exitUsage, says: "grpc.port (flag --grpc.port)"},
		{name: "no file", args: []string{"--config=absent.yaml"}, want: exitUsage, says: "configuration file absent.yaml"},
		{name: "unknown flag", args: []string{"--server.prot=1"}, want: exitUsage, says: "unknown flag: --server.prot"},
		{name: "argument", args: []string{"now"}, want: exitUsage, says: "serve takes no arguments"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &servers{err: test.ends}
			got := s.command(t, test.env, "serve", test.args...)
			if got.code != test.want || !strings.Contains(got.stderr, test.says) || got.stdout != "" {
				t.Errorf("got %+v, want exit code %d and %q", got, test.want, test.says)
			}
			if ran := s.config != nil; ran != (test.want != exitUsage) || ran && s.config.Build.Version == "" {
				t.Errorf("the server ran: %v, with configuration %+v", ran, s.config)
			}
		})
	}
}

func TestLogLevel(t *testing.T) {
	for level, want := range map[string]bool{"debug": true, "info": true, "warn": false, "error": false} {
		got := new(servers).command(t, []string{someBroker}, "serve", "--log.level="+level)
		if strings.Contains(got.stderr, "running") != want {
			t.Errorf("%s: got %q, want a line of level info: %v", level, got.stderr, want)
		}
	}
}

func TestPrintConfig(t *testing.T) {
	s := &servers{}
	got := s.command(t, []string{someBroker}, "serve", "--print-config", "--grpc.port=7")
	if got.code != exitOK || s.config != nil || !strings.Contains(got.stdout, "port: 7 # flag --grpc.port\n") {
		t.Errorf("got %+v", got)
	}
}

func TestDev(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		args []string
		want server.DevOptions
		code int
		says string
	}{
		{name: "plain", want: server.DevOptions{
			Brokers: 3, Partitions: 3, Version: "8.9", ControlAddress: "127.0.0.1:9602",
		}},
		{name: "all flags", args: []string{
			"--brokers=5", "--partitions=2", "--replication-factor=1", "--broker-version=8.10", "--dir=d", "--control-address=",
		}, want: server.DevOptions{Brokers: 5, Partitions: 2, ReplicationFactor: 1, Version: "8.10", Dir: "d"}},
		{name: "no brokers", args: []string{"--brokers=0"}, code: exitUsage, says: "must be a whole number from 1 to 1000"},
		{name: "brokers elsewhere", env: []string{someBroker}, code: exitUsage, says: "the cluster is embedded"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := &servers{}
			got := s.command(t, test.env, "dev", test.args...)
			if got.code != test.code || !strings.Contains(got.stderr, test.says) {
				t.Errorf("got %+v, want exit code %d and %q", got, test.code, test.says)
			}
			if diff := cmp.Diff(test.want, s.options, cmpopts.IgnoreInterfaces(struct{ io.Writer }{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
