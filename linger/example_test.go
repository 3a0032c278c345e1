package linger_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"github.com/lastack/lastack/linger"
)

// pair returns the two ends of a connection.
func pair() (client, server *net.TCPConn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		log.Fatal(err)
	}
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// The Conn keeps all that a *net.TCPConn can do. Close alone is another.
func ExampleCloser_Conn() {
	client, server := pair()
	var closer linger.Closer
	conn := closer.Conn(client)
	conn.SetNoDelay(true)
	go io.Copy(server, server)

	fmt.Fprintln(conn, "hello")
	line, err := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(line)
	fmt.Println(err)

	conn.Close() // returns at once
	server.Close()
	closer.Shutdown(context.Background()) // until it has ended
	// Output:
	// hello
	// <nil>
}

// Shutdown waits for the farewells of all connections that were closed.
func ExampleCloser_Shutdown() {
	client, server := pair()
	var closer linger.Closer
	closer.Conn(client).Close()
	server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(closer.Shutdown(ctx))
	// Output: <nil>
}

// Who knows the protocol tells what the kernel cannot know: here that the peer
// has answered everything.
func ExampleConn_Tell() {
	client, server := pair()
	var closer linger.Closer
	conn := closer.Conn(client)

	// … the last answer has been read …
	conn.Tell(linger.Complete)
	conn.Close() // FIN, and a reset when that is acknowledged (Linux)

	server.Close()
	closer.Shutdown(context.Background())
}

// The goodbye of a protocol of the user's own: "I'm done", and the other side
// answers "goodbye".
func ExampleGoodbye() {
	client, server := pair()
	go func() {
		if line, err := bufio.NewReader(server).ReadString('\n'); err == nil && line == "I'm done\n" {
			io.WriteString(server, "goodbye\n")
			io.Copy(io.Discard, server) // until the client has closed
		}
		server.Close()
	}()

	var closer linger.Closer
	conn := closer.Conn(client)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ending, err := linger.Goodbye(ctx, conn, func(c net.Conn) error {
		if _, err := io.WriteString(c, "I'm done\n"); err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		fmt.Printf("the server says %q\n", line)
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	log.Print(ending) // fin_reset on Linux: no TIME_WAIT on either side
	// Output: the server says "goodbye\n"
}

// A protocol with a goodbye of its own: the server says "we're done" and lets
// the client close.
func ExampleGoodbye_server() {
	closer := new(linger.Closer)
	l := closer.Listener(listen())
	defer l.Close()

	client := make(chan string)
	go func() {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			log.Fatal(err)
		}
		word, _ := bufio.NewReader(c).ReadString('\n')
		c.Close() // because the server is done
		client <- word
	}()

	c, err := l.Accept()
	if err != nil {
		log.Fatal(err)
	}
	ending, err := linger.Goodbye(context.Background(), c, func(c net.Conn) error {
		_, err := fmt.Fprintln(c, "we're done")
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print("the client read: ", <-client)
	fmt.Println("the connection ended:", ending)
	// Output:
	// the client read: we're done
	// the connection ended: peer_first
}

// A side that has no more to say and reads on, as in a tunnel. It is then the
// first to close.
func ExampleConn_CloseWrite() {
	client, server := pair()
	var closer linger.Closer
	conn := closer.Conn(client)
	go func() {
		io.Copy(server, server) // echoes until the end of file
		server.Close()
	}()

	io.WriteString(conn, "hello")
	conn.CloseWrite()
	echo, err := io.ReadAll(conn)
	fmt.Println(string(echo), err)
	conn.Close()
	closer.Shutdown(context.Background())
	// Output: hello <nil>
}

// The zero Policy is the good default. This one does not wait, and resets what
// has nothing left to say.
func ExamplePolicy() {
	policy := linger.Policy{Wait: -1, Fallback: linger.Abort}
	fmt.Println(policy.Check())
	closer := &linger.Closer{Policy: policy}
	defer closer.Shutdown(context.Background())
	// Output: <nil>
}

// Check finds what cannot be used before the first connection does.
func ExamplePolicy_Check() {
	fmt.Println(linger.Policy{Fallback: 9}.Check())
	// Output: linger: invalid Policy.Fallback: 9
}

// Endings are all that there are, for who makes a series for each.
func ExampleEndings() {
	for _, e := range linger.Endings() {
		fmt.Println(e)
	}
	// Output:
	// unknown
	// peer_first
	// fin_reset
	// aborted
	// local_first
	// lost
}
