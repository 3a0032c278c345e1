package lab

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/signal"
)

// A reply is what the server's process writes for each command: the answer, or
// why there is none.
type reply[Answer any] struct {
	Answer Answer
	Error  string `json:",omitempty"`
}

func (r reply[Answer]) err() error {
	if r.Error == "" {
		return nil
	}
	return errors.New(r.Error)
}

// Serve is the other side of [Child.Do]: it does each command of its input, and
// writes the answer. It returns the exit code of the process when the input
// ends, and so with the process that has started it, however that ends.
func Serve[Command, Answer any](in io.Reader, out io.Writer, do func(Command) (Answer, error)) int {
	signal.Ignore(os.Interrupt) // a terminal sends it to us too, but our parent has yet to count
	commands, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var c Command
		if err := commands.Decode(&c); err != nil {
			return 0
		}
		var r reply[Answer]
		var err error
		if r.Answer, err = do(c); err != nil {
			r.Error = err.Error()
		}
		if err := answers.Encode(r); err != nil {
			return ExitFailed
		}
	}
}
