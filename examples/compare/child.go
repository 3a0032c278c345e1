package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// stopWait is how long the server's process may take to end once its input has.
const stopWait = time.Second

// A child is the server's process, as its parent sees it.
type child struct {
	cmd      *exec.Cmd
	in       io.Closer
	commands *json.Encoder
	answers  *json.Decoder
}

func startServer() (*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), roleEnv+"="+roleServer)
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
	return &child{cmd: cmd, in: in, commands: json.NewEncoder(in), answers: json.NewDecoder(out)}, nil
}

// listen opens a site.
func (c *child) listen(cfg siteConfig) (answer, error) { return c.do(command{Listen: &cfg}) }

// accepted returns how many connections the site at addr has accepted.
func (c *child) accepted(addr string) (int, error) {
	a, err := c.do(command{Accepted: addr})
	return a.Accepted, err
}

func (c *child) do(cmd command) (answer, error) {
	var a answer
	if err := c.commands.Encode(cmd); err != nil {
		return a, fmt.Errorf("server: %w", err)
	}
	if err := c.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("server: %w", err)
	}
	if a.Error != "" {
		return a, errors.New("server: " + a.Error)
	}
	return a, nil
}

// stop ends the process: it ends by itself when its input does, and is killed
// when it takes its time.
func (c *child) stop() {
	c.in.Close()
	kill := time.AfterFunc(stopWait, func() { c.cmd.Process.Kill() })
	defer kill.Stop()
	c.cmd.Wait()
}
