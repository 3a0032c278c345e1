package main

// The protocol is lines. A client sends a word, and the server answers with it.
// Either side may leave, and says so:
//
//	client: I'm done        server: we're done
//	server: goodbye         (the client closes)
//	(the client closes)
//
// So the client closes first in both, and the server never has a TIME_WAIT. That
// the client has none either is up to how it closes.
const (
	imDone   = "I'm done\n"
	goodbye  = "goodbye\n"
	wereDone = "we're done\n"
)
