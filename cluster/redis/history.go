package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/siokit/siokit/core/mixin"
)

// HistoryOptions are the options of NewHistory.
type HistoryOptions struct {
	// Prefix is what the names of the keys begin with, "socket.io" by default. Applications
	// that share a Redis need different ones.
	Prefix string
	// Expire is how long a room is kept after its last event, in whole milliseconds; 24 h by
	// default. A negative one keeps rooms for ever.
	Expire time.Duration
}

// NewHistory returns a store for mixin.History.Store: all servers with the same Prefix keep the
// history of their rooms in one Redis. It need not be that of the bus. The client is the
// application's, and must live longer than the Servers.
//
// A room is one key of Redis, PREFIX-history#NAMESPACE,ROOM: a list of the kept events, whose
// first element is the bookkeeping. Each call is one command, whatever the number of events.
//
// The positions are the time of Redis in microseconds, or higher by one than the last. So
// they rise also when rooms are lost, as long as the clock does not go back: that of a
// replica that takes over must not be behind by more than the failover takes. Events that
// the replica has not had by then are lost to sockets that join. The client must not read
// from replicas (SendToReplicas), which are behind.
func NewHistory(client rueidis.Client, o HistoryOptions) mixin.HistoryStore {
	if client == nil {
		panic("redisbus: NewHistory without a client")
	}
	if o.Prefix == "" {
		o.Prefix = "socket.io"
	}
	if o.Expire == 0 {
		o.Expire = 24 * time.Hour
	}
	expire := "-1"
	if o.Expire > 0 {
		expire = strconv.FormatInt(max(o.Expire.Milliseconds(), 1), 10)
	}
	return &history{client, rueidis.NewLuaScript(appendScript), o.Prefix + "-history#", expire}
}

type history struct {
	client rueidis.Client
	append *rueidis.Lua
	prefix string
	expire string // in milliseconds; "-1": never
}

// appendScript keeps an event. The first element of the list is "POSITION BYTES", of the last
// event and of all; the others are events, each behind its position and a space. ARGV are the
// event, the most events, the most bytes, and the time of life. A position is below 2^53, so
// that a number of Lua holds it.
const appendScript = `
local key, event, events, bytes, expire = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local now = redis.call('TIME')
local position, size = now[1] * 1000000 + now[2], #event
local head = redis.call('LPOP', key)
if head then
	local last, kept = string.match(head, '^(%d+) (%d+)$')
	if not last then
		redis.call('LPUSH', key, head)
		return redis.error_reply('ERR the key has another use')
	end
	position, size = math.max(position, last + 1), size + kept
end
position = string.format('%.0f', position)
local count = redis.call('RPUSH', key, position .. ' ' .. event)
while count > 0 and (count > events or size > bytes) do
	local oldest = redis.call('LPOP', key)
	size, count = size - (#oldest - string.find(oldest, ' ', 1, true)), count - 1
end
redis.call('LPUSH', key, position .. ' ' .. string.format('%.0f', size))
if expire ~= '-1' then
	redis.call('PEXPIRE', key, expire)
end
return position
`

// Append implements mixin.HistoryStore.
func (h *history) Append(ctx context.Context, key string, event []byte, keep mixin.HistoryBounds) (uint64, error) {
	text, err := h.append.Exec(ctx, h.client, []string{h.prefix + key},
		[]string{rueidis.BinaryString(event), strconv.Itoa(keep.Events), strconv.Itoa(keep.Bytes), h.expire}).ToString()
	if err != nil {
		return 0, fmt.Errorf("redisbus: %w", err)
	}
	return strconv.ParseUint(text, 10, 64)
}

var errNoHistory = errors.New("redisbus: the key has what NewHistory has not written")

// Last implements mixin.HistoryStore.
func (h *history) Last(ctx context.Context, key string) ([]mixin.HistoryEvent, error) {
	list, err := h.client.Do(ctx, h.client.B().Lrange().Key(h.prefix+key).Start(1).Stop(-1).Build()).ToArray()
	if err != nil {
		return nil, fmt.Errorf("redisbus: %w", err)
	}
	events := make([]mixin.HistoryEvent, len(list))
	for i, m := range list {
		text, err := m.ToString()
		if err != nil {
			return nil, fmt.Errorf("redisbus: %w", err)
		}
		position, data, ok := strings.Cut(text, " ")
		if !ok {
			return nil, errNoHistory
		}
		if events[i].Position, err = strconv.ParseUint(position, 10, 64); err != nil {
			return nil, errNoHistory
		}
		events[i].Data = []byte(data)
	}
	return events, nil
}
