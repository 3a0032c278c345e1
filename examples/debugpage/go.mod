module github.com/lastack/lastack/examples/debugpage

go 1.26.0
