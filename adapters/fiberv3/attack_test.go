package siofiberv3_test

import (
	"testing"

	"github.com/siokit/siokit/adapters/internal/hosttest"
	"github.com/siokit/siokit/internal/attack"
)

// TestAttacks: what docs/attacks.md says holds on this host.
func TestAttacks(t *testing.T) { attack.Run(t, factory, hosttest.FasthttpAttacks...) }
