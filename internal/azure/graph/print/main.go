// Command print writes the Resource Graph queries as JSON, for the check of
// make infra-check. Nothing that ships imports it.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"cmkguard/internal/azure/graph"
)

func main() {
	if err := json.NewEncoder(os.Stdout).Encode(graph.Queries()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // a program of its own
	}
}
