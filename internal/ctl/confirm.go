package ctl

import (
	"bufio"
	"context"
	"fmt"
	"strings"
)

// confirm has a person type a word, having been told what it means.
func (a *app) confirm(ctx context.Context, meaning, word string) error {
	if a.yes {
		return nil
	}
	if !isTerminal(a.env.Stdin) {
		return fmt.Errorf("%w: %s, and there is no terminal to ask at: say --yes", errUnconfirmed, meaning)
	}
	fmt.Fprintf(a.env.Stderr, "%s. Type %s to go on: ", meaning, word)
	answer := make(chan string, 1)
	go func() { // it may read for ever, as long as the program
		line, _ := bufio.NewReader(a.env.Stdin).ReadString('\n')
		answer <- line
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(a.env.Stderr)
		return fmt.Errorf("%w: %w", errUnconfirmed, context.Cause(ctx))
	case line := <-answer:
		if strings.TrimSpace(line) != word {
			return fmt.Errorf("%w: nothing was changed", errUnconfirmed)
		}
		return nil
	}
}
