package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what is known of this program.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

// buildVersion asks the linker first, then what Go wrote into the program.
func buildVersion() build {
	b := build{Version: version, Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	if b.Version == "" || b.Version == "(devel)" {
		b.Version = "dev"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Commit = s.Value
		}
	}
	return b
}

func newVersionCommand(con console) *cobra.Command {
	output := choice{value: "text", words: []string{"text", "json"}}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of this program",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildVersion()
			if output.value == "json" {
				encoder := json.NewEncoder(con.stdout)
				encoder.SetIndent("", "  ")
				return encoder.Encode(b)
			}
			commit := ""
			if b.Commit != "" {
				commit = "commit " + b.Commit + ", "
			}
			_, err := fmt.Fprintf(con.stdout, "exportgate %s (%s%s)\n", b.Version, commit, b.Go)
			return err
		},
	}
	cmd.Flags().VarP(&output, "output", "o", "form of the output")
	return cmd
}
