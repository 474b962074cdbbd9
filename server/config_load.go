package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// LoadOptions says where settings are found.
type LoadOptions struct {
	// File is the path of a YAML file; empty where there is none.
	File string
	// Env is the environment as os.Environ gives it. It overrides the file, and tells where the state directory is.
	Env []string
	// Flags are the flags of [RegisterFlags], parsed; nil where there are none. They override the environment.
	Flags *pflag.FlagSet
	// EmbeddedCluster says that the program brings its cluster along: nothing may say where brokers are.
	EmbeddedCluster bool
}

// Load reads the defaults, the file, the environment and the flags, later ones winning. Its error tells every mistake
// that was found, each with the key and where it was written.
func Load(opts LoadOptions) (*Config, error) {
	names := indexKeys(Keys())
	file, fileErr := names.readFile(opts.File)
	env, envErr := names.readEnv(opts.Env)
	if err := errors.Join(fileErr, envErr); err != nil {
		return nil, err
	}

	c := &Config{settings: defaults()}
	for _, source := range []layer{file, env, readFlags(opts.Flags)} {
		maps.Copy(c.settings, source)
	}
	if err := c.parse(); err != nil {
		return nil, err
	}
	if err := c.complete(opts); err != nil {
		return nil, err
	}
	c.warnings = append(c.exposures(), names.nearMisses(opts.Env)...)
	return c, nil
}

// parse fills the fields of c from its settings. Of a secret a setting keeps only that there is one.
func (c *Config) parse() error {
	var mistakes []error
	for _, key := range Keys() {
		s := c.settings[key.Name]
		if s.text == "" && key.Default == "" {
			continue // unset; to leave a key empty sets it back to that
		}
		if err := key.set(c, s.text); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s (%s): %w", key.Name, s.source, err))
		}
		if key.Secret {
			c.settings[key.Name] = setting{mask, s.source}
		}
	}
	return errors.Join(mistakes...)
}

// setting is a value as it was written. Values travel as text, whatever they come from: a YAML decoder that knows no
// better makes the version 8.10 the number 8.1.
type setting struct {
	text   string
	source string // "exportgate.yaml:3", "environment variable SERVER_PORT", "flag --server.port", or "default"
}

// layer is the settings of one source, by the name of their key.
type layer map[string]setting

// add refuses a key to which one source gives two values: nobody can know which was meant.
func (l layer) add(key string, s setting) error {
	if other, ok := l[key]; ok && other.text != s.text {
		return fmt.Errorf("%s has two values, from %s and from %s: remove one", key, other.source, s.source)
	}
	l[key] = s
	return nil
}

// byDefault is the source of values that nobody wrote.
const byDefault = "default"

func defaults() layer {
	l := layer{}
	for _, key := range Keys() {
		l[key.Name] = setting{key.Default, byDefault}
	}
	return l
}

// keyNames finds the key that a source means.
type keyNames struct {
	file map[string]string // the key's name, by name and alias
	env  map[string]string // the key's name, by environment variable
}

func indexKeys(keys []Key) keyNames {
	names := keyNames{file: map[string]string{}, env: map[string]string{}}
	for _, key := range keys {
		names.file[key.Name] = key.Name
		if key.Alias != "" {
			names.file[key.Alias] = key.Name
		}
		for _, env := range key.Env() {
			names.env[env] = key.Name
		}
	}
	return names
}

// readEnv takes the variables that name a key. An empty one counts as absent: that is what an unset variable becomes
// in a compose file.
func (n keyNames) readEnv(env []string) (layer, error) {
	l := layer{}
	var mistakes []error
	for _, variable := range slices.Sorted(slices.Values(env)) {
		name, text, _ := strings.Cut(variable, "=")
		key, ok := n.env[name]
		if !ok || text == "" {
			continue
		}
		mistakes = append(mistakes, l.add(key, setting{text, "environment variable " + name}))
	}
	return l, errors.Join(mistakes...)
}

// nearMisses warns of variables that look like a slip. It is no error, and other unknown variables are not looked at,
// because the names are not ours alone: Camunda's begin with ZEEBE_, and Kubernetes makes ZEEBE_PORT of a Service.
func (n keyNames) nearMisses(env []string) []string {
	var warnings []string
	for _, variable := range slices.Sorted(slices.Values(env)) {
		name, _, _ := strings.Cut(variable, "=")
		if _, ok := n.env[name]; ok {
			continue
		}
		if meant := closest(name, n.env); meant != "" {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s sets nothing; did you mean %s?", name, meant))
		}
	}
	return warnings
}

func readFlags(flags *pflag.FlagSet) layer {
	l := layer{}
	if flags == nil {
		return l
	}
	for _, key := range Keys() {
		if flag := flags.Lookup(key.Name); flag != nil && flag.Changed {
			l[key.Name] = setting{flag.Value.String(), "flag --" + key.Name}
		}
	}
	return l
}
