package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxConfigFile in bytes is far above any sensible file, and far below what it would hurt to read by mistake.
const maxConfigFile = 1 << 20

// readFile takes the settings of a YAML file, nested (`server: {port: 9600}`) or dotted (`server.port: 9600`) as one
// likes. An empty path is an empty layer.
func (n keyNames) readFile(path string) (layer, error) {
	if path == "" {
		return layer{}, nil
	}
	var document yaml.Node
	if err := decodeFile(path, &document); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	f := fileReader{names: n, path: path, settings: layer{}}
	for _, root := range document.Content { // one, or none in an empty file
		f.read("", root)
	}
	return f.settings, errors.Join(f.mistakes...)
}

// decodeFile reads the one document of a file.
func decodeFile(path string, document *yaml.Node) error {
	content, err := readSmall(path, maxConfigFile)
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	if err := decoder.Decode(document); err != nil && !errors.Is(err, io.EOF) {
		if strings.Contains(err.Error(), "unknown anchor") { // It shows the value, which may be a password.
			return errors.New("a value that begins with * must be in quotes")
		}
		return err
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return errors.New("has something after its first YAML document: keep one")
	}
	return nil
}

// readSmall reads a file that has no reason to be large.
func readSmall(path string, limit int64) ([]byte, error) {
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return content, nil
}

// fileReader walks the nodes of a file. It goes on after a mistake, so that all are told at once.
type fileReader struct {
	names    keyNames
	path     string
	settings layer
	mistakes []error
}

// read takes what a node says about the key, or the group of keys, with this name; the root has none.
func (f *fileReader) read(name string, node *yaml.Node) {
	key, known := f.names.file[name]
	switch {
	case known:
		text, err := settingText(node)
		if err != nil {
			f.mistake(node, fmt.Errorf("%s %w", name, err))
		} else if err := f.settings.add(key, setting{text, f.place(node)}); err != nil {
			f.mistakes = append(f.mistakes, err)
		}
	case node.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			f.read(strings.TrimPrefix(name+"."+node.Content[i].Value, "."), node.Content[i+1])
		}
	case node.Tag == "!!null" && f.isGroup(name): // all that it had is commented out
	default:
		f.mistake(node, f.unknown(name))
	}
}

func (f *fileReader) isGroup(name string) bool {
	for key := range f.names.file {
		if name == "" || strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
}

// settingText is the value as it stands in the file; the items of a list are joined with commas.
func settingText(node *yaml.Node) (string, error) {
	switch {
	case node.Kind == yaml.SequenceNode:
		items := make([]string, len(node.Content))
		for i, item := range node.Content {
			if item.Kind != yaml.ScalarNode {
				return "", errors.New("must be a list of plain values")
			}
			items[i] = item.Value
		}
		return strings.Join(items, ","), nil
	case node.Kind != yaml.ScalarNode:
		return "", errors.New("must be a plain value")
	case node.Tag == "!!null":
		return "", errors.New("has no value: write one, or remove the key")
	}
	return node.Value, nil
}

// unknown tells what may have been meant by a name that is no key.
func (f *fileReader) unknown(name string) error {
	if f.isGroup(name) {
		return fmt.Errorf("expected keys and values below %q, such as server.port: 9600", name)
	}
	if meant := closest(name, f.names.file); meant != "" {
		return fmt.Errorf("there is no key %q; did you mean %s?", name, meant)
	}
	return fmt.Errorf("there is no key %q", name)
}

func (f *fileReader) mistake(node *yaml.Node, err error) {
	f.mistakes = append(f.mistakes, fmt.Errorf("%s: %w", f.place(node), err))
}

func (f *fileReader) place(node *yaml.Node) string { return fmt.Sprintf("%s:%d", f.path, node.Line) }

// maxSlips is the edit distance up to which a name counts as a slip of another: two letters swapped, or one or two
// missing.
const maxSlips = 2

// closest is the known name that a slip of the pen may have turned into this one; empty where none is near.
func closest(name string, known map[string]string) string {
	best, fewest := "", maxSlips+1
	for candidate := range known {
		if slips := editDistance(name, candidate); slips < fewest || slips == fewest && candidate < best {
			best, fewest = candidate, slips
		}
	}
	return best
}

// editDistance is Levenshtein's: how many bytes must be added, removed or replaced to make b of a.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
