package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
)

// A service of grpc-go is a description and a codec. protoc writes both for
// messages of protobuf; by hand, with strings for messages, they are short.

const sayHello = "/lastack.example.Greeter/SayHello"

var greeterDesc = grpc.ServiceDesc{
	ServiceName: "lastack.example.Greeter",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "SayHello",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var name string
			if err := decode(&name); err != nil {
				return nil, err
			}
			greeting, err := srv.(*greeter).sayHello(ctx, name)
			return &greeting, err
		},
	}},
}

// A greeter is the server's side.
type greeter struct {
	delay time.Duration // as of a service that does some work
}

func (g *greeter) sayHello(ctx context.Context, name string) (string, error) {
	select {
	case <-time.After(g.delay):
		return "Hello, " + name + "!", nil
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// hello is the client's side. Like any generated stub, it takes a *grpc.ClientConn
// as well as anything else that can call.
func hello(ctx context.Context, cc grpc.ClientConnInterface, name string) (string, error) {
	var greeting string
	err := cc.Invoke(ctx, sayHello, &name, &greeting, grpc.ForceCodecV2(codec{}))
	return greeting, err
}

// codec has strings for messages.
type codec struct{}

var errNoString = errors.New("the message is no *string")

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	s, ok := v.(*string)
	if !ok {
		return nil, fmt.Errorf("%T: %w", v, errNoString)
	}
	return mem.BufferSlice{mem.SliceBuffer(*s)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	s, ok := v.(*string)
	if !ok {
		return fmt.Errorf("%T: %w", v, errNoString)
	}
	*s = string(data.Materialize())
	return nil
}

func (codec) Name() string { return "string" }
