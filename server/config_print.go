package server

import (
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration as a file that [Load] takes, with the source of each value as a comment. Keys without
// a value are left out.
func (c *Config) Print(w io.Writer) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range Keys() {
		s := c.settings[key.Name]
		if s.text == "" {
			continue
		}
		words := strings.Split(key.Name, ".")
		group := root
		for _, word := range words[:len(words)-1] {
			group = subgroup(group, word)
		}
		group.Content = append(group.Content,
			&yaml.Node{Kind: yaml.ScalarNode, Value: words[len(words)-1]},
			&yaml.Node{Kind: yaml.ScalarNode, Value: s.text, LineComment: s.source})
	}
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("print the configuration: %w", err)
	}
	return encoder.Close()
}

// subgroup finds a group below another, or puts it there.
func subgroup(group *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(group.Content); i += 2 {
		if group.Content[i].Value == name {
			return group.Content[i+1]
		}
	}
	below := &yaml.Node{Kind: yaml.MappingNode}
	group.Content = append(group.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, below)
	return below
}
