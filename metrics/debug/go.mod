module github.com/lastack/lastack/metrics/debug

go 1.26.0
