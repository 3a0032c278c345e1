// Package monitor makes the dashboard and the alert rules. Its queries name the
// metrics of the table as OpenTelemetry does, between @ and @, and cannot be
// made with a name that is not in the table.
package monitor
