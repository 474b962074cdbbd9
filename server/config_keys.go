package server

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Key is one setting. The table of [Keys] is the only place that knows its names, its default and its type: the loader,
// the flags and docs/configuration.md follow from it.
type Key struct {
	// Name is the key in the file and, after two dashes, the flag.
	Name string
	// Alias is another name of the key in the file and, by the same rule, in the environment; mostly empty.
	Alias string
	// Default is the value as it would be written; empty where there is none.
	Default string
	// Doc says in a sentence or two what it does.
	Doc string
	// Cluster keys say where the brokers are and how many: they make no sense where the cluster is embedded.
	Cluster bool
	// Secret keys have no flag, because everybody on a machine can read the flags of its processes. Their values are shown
	// nowhere.
	Secret bool

	set func(c *Config, text string) error
}

// Keys is every setting, in the order of the documentation.
func Keys() []Key {
	return slices.Concat(doorKeys(), accessKeys(), zeebeKeys(), exportingKeys(), storeKeys(), logKeys())
}

// Env is the names of the environment variables that set the key, the preferred one first. Dots become underscores and
// all letters upper case; dashes become underscores or vanish, for Spring makes them vanish and most people do not.
func (k Key) Env() []string {
	var names []string
	for _, name := range []string{k.Name, k.Alias} {
		for _, dash := range []string{"_", ""} {
			env := strings.ToUpper(strings.NewReplacer(".", "_", "-", dash).Replace(name))
			if env != "" && !slices.Contains(names, env) {
				names = append(names, env)
			}
		}
	}
	return names
}

// RegisterFlags gives every key but the secret ones a flag of its own name. [Load] takes those that were set.
func RegisterFlags(flags *pflag.FlagSet) {
	for _, key := range Keys() {
		if key.Secret {
			continue
		}
		flags.String(key.Name, key.Default, strings.ReplaceAll(key.Doc, "`", "")) // pflag gives backquotes a meaning
		if key.Default == "false" {
			flags.Lookup(key.Name).NoOptDefVal = "true"
		}
	}
}
