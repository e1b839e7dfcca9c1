// Command demo tells the whole story on this machine: a simulated Azure, and
// the real binary spoken to over the real custom-handler protocol. It exits 0
// only if every outcome was read back from the outside.
//
// It is not a test double of anything: it drives what ships.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	binary := flag.String("binary", "bin/cmkguard", "the built binary")
	keep := flag.Bool("keep", false, "keep the world up until Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *binary, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo: FAILED:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, keep bool) error {
	began := time.Now()
	d, err := setUp(ctx, binary)
	if err != nil {
		return err
	}
	defer d.close()
	if keep {
		p, err := showSent(d.hook)
		if err != nil {
			return err
		}
		defer p.server.Close()
		fmt.Printf("Every card that is sent can be seen at %s\n", p.url)
	}
	for i, step := range chapters() {
		fmt.Printf("%d. %s\n", i+1, step.title)
		if err := step.do(ctx, d); err != nil {
			return fmt.Errorf("chapter %d (%s): %w\n%s", i+1, step.title, err, d.child.Tail())
		}
	}
	fmt.Printf("Done in %s: every outcome above was read back.\n", time.Since(began).Round(100*time.Millisecond))
	if keep {
		fmt.Printf("The world stays up until Ctrl-C. Its cloud profile: %s\nTry: CMKGUARD_STATE=file:%s %s audit verify\n", d.profile, d.state, binary)
		<-ctx.Done()
	}
	return nil
}
