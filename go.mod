module github.com/lastack/lastack

go 1.26.0

require (
	golang.org/x/sync v0.24.0
	golang.org/x/sys v0.49.0
)

require github.com/hashicorp/go-cleanhttp v0.5.2
