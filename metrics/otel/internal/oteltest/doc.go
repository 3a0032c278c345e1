// Package oteltest reads the instruments of package otel as a program would:
// with OpenTelemetry's SDK. It is a module of its own so that neither the
// library nor the users of package otel get to know the SDK.
package oteltest
