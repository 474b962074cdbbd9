package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/exportgate/exportgate/server"
)

func newServeCommand(
	con console, run func(context.Context, *server.Config, *slog.Logger) error,
) *cobra.Command {
	s := &settings{con: con}
	printConfig := false
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server in front of a Zeebe cluster",
		Long: `Run the server until it is interrupted or terminated; calls in flight may then still end. A second signal ends
it at once.

Each setting is a flag, an environment variable (--zeebe.brokers is ZEEBE_BROKERS) and a key of the YAML file.
At least --zeebe.brokers or --zeebe.gateway is needed. docs/configuration.md has the rest.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := s.load(cmd)
			if err != nil {
				return err
			}
			if printConfig {
				return config.Print(con.stdout)
			}
			if err := run(cmd.Context(), config, newLogger(con.stderr, config.Log)); err != nil {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&printConfig, "print-config", false,
		"print the configuration, with the source of each value, and exit")
	s.register(cmd)
	return cmd
}
