// Command generate writes the dashboard and the alert rules into the working
// directory, which is that of package prom.
package main

import (
	"log"
	"os"

	"github.com/lastack/lastack/metrics/prom/internal/monitor"
)

func main() {
	for name, content := range monitor.Files() {
		if err := os.WriteFile(name, content, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
