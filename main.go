// Command cmkguard guards the customer-managed keys of Azure Redis caches: an
// Azure Functions custom handler, and the command line beside it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // freeze windows name zones, and a container may have none

	"cmkguard/internal/app"
)

// version is set by the build.
var version = "dev"

func main() {
	interrupts, terms := make(chan os.Signal, 4), make(chan os.Signal, 4)
	signal.Notify(interrupts, os.Interrupt)
	signal.Notify(terms, syscall.SIGTERM)
	os.Exit(app.Main(context.Background(), app.Process{
		Args: os.Args[1:], Env: os.Getenv, Stdout: os.Stdout, Stderr: os.Stderr,
		Interrupts: interrupts, Terms: terms, Version: version,
	}))
}
