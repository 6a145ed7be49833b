package historytest_test

import (
	"testing"

	"github.com/siokit/siokit/core/mixin"
	"github.com/siokit/siokit/internal/historytest"
)

// TestMemory: the store in memory is what a HistoryStore has to be.
func TestMemory(t *testing.T) {
	historytest.Run(t, func(*testing.T) (func() mixin.HistoryStore, func()) {
		m := new(historytest.Memory)
		return func() mixin.HistoryStore { return m }, m.Forget
	})
}
