package forward

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// A connection begins with two proofs, each of them a MAC of what both ends have chosen at
// random: so nothing that was heard once can be sent again. The end that passes requests on
// proves first, and what it proves is meant for one node by its name, at the address that was
// dialled: a connection that reaches another node, because addresses have changed hands, ends
// here. So does one to somebody who has told a false address of a node, on the bus, and hands
// on what both ends say.
//
//	passes on -> has the session   hello, nonce
//	          <-                   nonce
//	          ->                   proof of the one who passes on
//	          <-                   proof of the one who has the session
//
// Who says anything else gets an answer of HTTP with status 403, and nothing more.
const (
	hello     = "siokit-forward1\n"
	nonceSize = 32
)

// authTimeout is how long the proofs may take.
const authTimeout = 5 * time.Second

const forbidden = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

var (
	errSecret   = errors.New("forward: the other end does not have the same secret, is another node, or is told to have another address")
	errStranger = errors.New("forward: somebody who is no node of this cluster")
)

func nonce() []byte {
	b := make([]byte, nonceSize)
	_, _ = rand.Read(b) // never fails; the runtime ends the process instead
	return b
}

// end is the node at the end of a connection that has the sessions.
type end struct {
	node    string
	address string // that the others are told
}

// proof shows that one end, whose is passer or taker, knows the secret.
func proof(secret []byte, whose string, to end, first, second []byte) []byte {
	m := hmac.New(sha256.New, secret)
	for _, part := range [][]byte{[]byte(whose), []byte(to.node), []byte(to.address), first, second} {
		m.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		m.Write(part)
	}
	return m.Sum(nil)
}

// prove is the part of the end that passes requests on to a node.
func (c *conn) prove(secret []byte, to end) error {
	_ = c.SetDeadline(time.Now().Add(authTimeout))
	first, second := nonce(), make([]byte, nonceSize)
	if _, err := c.Write(append([]byte(hello), first...)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.br, second); err != nil {
		return err
	}
	if _, err := c.Write(proof(secret, "passer", to, first, second)); err != nil {
		return err
	}
	theirs := make([]byte, sha256.Size)
	if _, err := io.ReadFull(c.br, theirs); err != nil {
		return err
	}
	if !hmac.Equal(theirs, proof(secret, "taker", to, first, second)) {
		return errSecret
	}
	return c.SetDeadline(time.Time{})
}

// verify is the part of the end that has the sessions.
func (c *conn) verify(secret []byte, self end) error {
	_ = c.SetDeadline(time.Now().Add(authTimeout))
	said := make([]byte, len(hello))
	if _, err := io.ReadFull(c.br, said); err != nil || !bytes.Equal(said, []byte(hello)) {
		c.forbid()
		return errStranger
	}
	first, second, theirs := make([]byte, nonceSize), nonce(), make([]byte, sha256.Size)
	if _, err := io.ReadFull(c.br, first); err != nil {
		c.forbid()
		return errStranger
	}
	if _, err := c.Write(second); err != nil {
		return err
	}
	if _, err := io.ReadFull(c.br, theirs); err != nil {
		return err
	}
	if !hmac.Equal(theirs, proof(secret, "passer", self, first, second)) {
		c.forbid()
		return errSecret
	}
	if _, err := c.Write(proof(secret, "taker", self, first, second)); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// forbid is the answer to a stranger. What the stranger has sent is read for a moment: the
// answer would be lost with a connection that is closed before.
func (c *conn) forbid() {
	_, _ = io.WriteString(c.Conn, forbidden)
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, c.br, 64<<10)
}
