package historytest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/siokit/siokit/core/mixin"
)

// Memory is a store in memory, which several Servers of one process may share. The zero value
// is empty.
type Memory struct {
	mu   sync.Mutex
	last uint64
	keys map[string][]mixin.HistoryEvent
}

var _ mixin.HistoryStore = (*Memory)(nil)

// Append implements mixin.HistoryStore.
func (m *Memory) Append(ctx context.Context, key string, event []byte, keep mixin.HistoryBounds) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if m.keys == nil {
		m.keys = make(map[string][]mixin.HistoryEvent)
	}
	m.last = max(m.last+1, uint64(time.Now().UnixMicro()))
	list := append(m.keys[key], mixin.HistoryEvent{Position: m.last, Data: bytes.Clone(event)})
	old, size := len(list), 0
	for old > 0 && len(list)-old < keep.Events && size+len(list[old-1].Data) <= keep.Bytes {
		old--
		size += len(list[old].Data)
	}
	m.keys[key] = slices.Clone(list[old:])
	return m.last, nil
}

// Last implements mixin.HistoryStore.
func (m *Memory) Last(ctx context.Context, key string) ([]mixin.HistoryEvent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list := slices.Clone(m.keys[key])
	for i := range list {
		list[i].Data = bytes.Clone(list[i].Data)
	}
	return list, nil
}

// Forget forgets all events.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys = nil
}
