// Reads YAML documents from standard input into the types of the Prometheus operator, which refuse unknown fields.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

func read(document []byte) (string, error) {
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := strict.Unmarshal(document, &kind); err != nil {
		return "", err
	}
	known := map[string]any{"PodMonitor": &monitoringv1.PodMonitor{}, "PrometheusRule": &monitoringv1.PrometheusRule{}}
	into, ok := known[kind.Kind]
	if !ok {
		return "", fmt.Errorf("unknown kind %q", kind.Kind)
	}
	return kind.Kind, strict.UnmarshalStrict(document, into)
}

func main() {
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		kind := ""
		if err == nil {
			kind, err = read(document)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(kind)
	}
}
