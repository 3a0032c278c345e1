package dialer

import (
	"testing"

	"github.com/lastack/lastack/internal/netlab"
)

// TestMain lets the tests start clients of their own.
func TestMain(m *testing.M) { netlab.Main(m) }
