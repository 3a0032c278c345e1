package grpcpool

import (
	"testing"

	"github.com/lastack/lastack/internal/netlab"
)

func TestMain(m *testing.M) { netlab.Main(m) }
