package main

import (
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/exportgate/exportgate/server"
)

// settings is what the verbs that run a server have in common: where their configuration comes from.
type settings struct {
	con  console
	file string
	// embedded tells that the verb brings its cluster along.
	embedded bool
}

func (s *settings) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&s.file, "config", "", "read settings from this YAML `file`; the environment and flags override them")
	server.RegisterFlags(flags)
	for _, key := range server.Keys() {
		if flag := flags.Lookup(key.Name); flag != nil { // Secrets have none.
			flag.Hidden = s.embedded && key.Cluster
		}
	}
}

// load reads the configuration. All that can be wrong with it is a mistake of usage.
func (s *settings) load(cmd *cobra.Command) (*server.Config, error) {
	config, err := server.Load(server.LoadOptions{
		File: s.file, Env: s.con.env, Flags: cmd.Flags(), EmbeddedCluster: s.embedded,
	})
	if err != nil {
		return nil, usageError{err}
	}
	program := buildVersion()
	config.Build = server.Build{Version: program.Version, Commit: program.Commit}
	return config, nil
}

func newLogger(w io.Writer, config server.LogConfig) *slog.Logger { return server.NewLogger(w, config) }
