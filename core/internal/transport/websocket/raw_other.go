//go:build !unix

package websocket

// rawIO says that reads and writes can go to the descriptor directly.
const rawIO = false

func (c *Conn) readReady(uintptr) bool  { return true }
func (c *Conn) writeReady(uintptr) bool { return true }
