package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/exportgate/exportgate/server"
)

func newDevCommand(
	con console, run func(context.Context, *server.Config, server.DevOptions, *slog.Logger) error,
) *cobra.Command {
	s := &settings{con: con, embedded: true}
	options := server.DevOptions{Out: con.stdout}
	brokers, partitions, replicas := number(3), number(3), number(0)
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run the server over a whole cluster inside this process, to try it",
		Long: `Run the server over a small Zeebe-like cluster inside this process: brokers with their management API,
partitions with a log that grows, and an exporter that writes NDJSON files. It is for trying and testing only.

The settings of the server are those of 'exportgate serve', but for where the brokers are.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := s.load(cmd)
			if err != nil {
				return err
			}
			options.Brokers, options.Partitions, options.ReplicationFactor = int(brokers), int(partitions), int(replicas)
			if err := run(cmd.Context(), config, options, newLogger(con.stderr, config.Log)); err != nil {
				return fmt.Errorf("dev: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.Var(&brokers, "brokers", "number of brokers")
	flags.Var(&partitions, "partitions", "number of partitions")
	flags.Var(&replicas, "replication-factor", "number of replicas of each partition (default: 3, or one a broker)")
	flags.StringVar(&options.Version, "broker-version", "8.9", "Zeebe version that the brokers behave like, 8.5 to 8.10")
	flags.StringVar(&options.Dir, "dir", "", "`directory` for logs and exported records (default: a temporary one)")
	flags.StringVar(&options.ControlAddress, "control-address", "127.0.0.1:9602", "loopback `host:port` of a page that "+
		"makes trouble on demand: stops brokers, makes them hang, and so on; empty for none")
	s.register(cmd)
	return cmd
}
