// Package orders is what a peer is told. Every line of its standard input is an Order as JSON, and
// is answered by a line with a Report.
package orders

// Order is what a peer is to do.
type Order struct {
	Do    string `json:"do"`    // emit; idle is the same without emits; memory counts allocations
	Room  string `json:"room"`  // "" for all
	Local bool   `json:"local"` // the own node alone
	Ticks int    `json:"ticks"` // so often
	Per   int    `json:"per"`   // so many emits at once
	Every int    `json:"every"` // microseconds between two ticks; 0 for none
	Time  bool   `json:"time"`  // the emitting thread is timed, which costs the process thread switches
}

// Report is the answer. The first line of a peer is a Report with its address.
type Report struct {
	Addr    string `json:"addr,omitempty"`
	Caller  int64  `json:"caller,omitempty"`  // nanoseconds of CPU that the emitting thread used in Emit, with Order.Time
	Mallocs uint64 `json:"mallocs,omitempty"` // of the process since it began
	Error   string `json:"error,omitempty"`
}

// Text is what is emitted, and Room is where every client is.
const (
	Text = "0123456789abcdef"
	Room = "lobby"
)
