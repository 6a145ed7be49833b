package sioecho_test

import (
	"testing"

	"github.com/siokit/siokit/internal/attack"
)

// TestAttacks: what docs/attacks.md says holds on this host.
func TestAttacks(t *testing.T) { attack.Run(t, factory) }
