// Reads a JSON list of YAML documents from standard input, and writes one JSON line for each: what every YAML parser of
// Kubernetes and Argo CD makes of it.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	v2 "go.yaml.in/yaml/v2"
	v3 "go.yaml.in/yaml/v3"
	older2 "gopkg.in/yaml.v2"
	older3 "gopkg.in/yaml.v3"
	kubernetes "sigs.k8s.io/yaml"
)

var readers = map[string]func([]byte, any) error{
	"sigs.k8s.io/yaml":   func(text []byte, into any) error { return kubernetes.Unmarshal(text, into) },
	"go.yaml.in/yaml/v2": v2.Unmarshal,
	"go.yaml.in/yaml/v3": v3.Unmarshal,
	"gopkg.in/yaml.v2":   older2.Unmarshal,
	"gopkg.in/yaml.v3":   older3.Unmarshal,
}

// typed names a value's type beside it: JSON alone would not tell a string from a date.
func typed(value any) any {
	switch held := value.(type) {
	case []any:
		found := []any{}
		for _, one := range held {
			found = append(found, typed(one))
		}
		return found
	case map[string]any:
		found := []any{}
		for key, one := range held {
			found = append(found, []any{typed(key), typed(one)})
		}
		return found
	case map[any]any:
		found := []any{}
		for key, one := range held {
			found = append(found, []any{typed(key), typed(one)})
		}
		return found
	}
	return fmt.Sprintf("%T %v", value, value)
}

func main() {
	var documents []string
	if err := json.NewDecoder(os.Stdin).Decode(&documents); err != nil {
		panic(err)
	}
	lines := json.NewEncoder(os.Stdout)
	for _, document := range documents {
		found := map[string]any{}
		for name, read := range readers {
			var value any
			if err := read([]byte(document), &value); err != nil {
				found[name] = "error " + err.Error()
			} else {
				found[name] = typed(value)
			}
		}
		if err := lines.Encode(found); err != nil {
			panic(err)
		}
	}
}
