// Package websockettest tests upgrades with a WebSocket library that programs
// use: github.com/coder/websocket, over our pool and over net/http's. It is a
// module of its own, so that nobody else gets that library from us.
package websockettest
