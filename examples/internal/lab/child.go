package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// stopWait is how long the server's process may take to end once its input has.
const stopWait = time.Second

// A Child is this program in another process and role, as its parent sees it. It
// is told what to do on its standard input, and not over TCP, so that no socket
// but those of the clients shows up in the counts. It is to end with its input,
// and so with its parent, however that ends.
type Child struct {
	cmd      *exec.Cmd
	in       io.Closer
	commands *json.Encoder
	answers  *json.Decoder
}

// StartServer starts this program in the role [RoleServer].
func StartServer() (*Child, error) {
	cmd, err := Self(context.Background(), RoleServer)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	return &Child{cmd: cmd, in: in, commands: json.NewEncoder(in), answers: json.NewDecoder(out)}, nil
}

// Do sends a command and waits for its answer; both are JSON. See [Serve].
func (c *Child) Do(command, answer any) error {
	if err := c.commands.Encode(command); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	r := reply[any]{Answer: answer}
	if err := c.answers.Decode(&r); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := r.err(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}

// Stop ends the process: it ends by itself when its input does, and is killed
// when it takes its time.
func (c *Child) Stop() {
	c.in.Close()
	kill := time.AfterFunc(stopWait, func() { c.cmd.Process.Kill() })
	defer kill.Stop()
	c.cmd.Wait()
}
