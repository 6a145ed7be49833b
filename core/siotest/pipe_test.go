package siotest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// TestPipe: what is written waits, ends behind the last byte, and is not written to who has
// left.
func TestPipe(t *testing.T) {
	a, b := pipe()
	for range 3 {
		if _, err := a.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	_ = a.CloseWrite()
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("behind the end: %v", err)
	}
	if got, err := io.ReadAll(b); string(got) != "abcabcabc" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if _, err := b.Write([]byte("back")); err != nil {
		t.Errorf("the other direction: %v", err)
	}
	_ = a.Close()
	if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("to one who has left: %v", err)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("from a closed end: %v", err)
	}
}

// TestPipeDeadline: a deadline ends the read that waits, not earlier and not later, and a new
// one counts in its place.
func TestPipeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe()
		defer func() { _, _ = a.Close(), b.Close() }()
		from := time.Now()
		_ = a.SetDeadline(from.Add(time.Second))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(from) != time.Second {
			t.Errorf("%v after %v", err, time.Since(from))
		}
		_ = a.SetReadDeadline(time.Now().Add(time.Second))
		go func() {
			time.Sleep(time.Second / 2)
			_ = a.SetReadDeadline(time.Time{})
			time.Sleep(time.Minute)
			_, _ = b.Write([]byte("x"))
		}()
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Errorf("without a deadline: %v", err)
		}
	})
}

// TestFrames: the lengths of RFC 6455, with the bytes of its headers, and what no server sends.
func TestFrames(t *testing.T) {
	for _, row := range []struct {
		n        int
		out, in0 []byte // the header that a client sends, and the one that a server sends
	}{
		{0, []byte{0x81, 0x80, 0, 0, 0, 0}, []byte{0x81, 0}},
		{125, []byte{0x81, 0xfd, 0, 0, 0, 0}, []byte{0x81, 125}},
		{126, []byte{0x81, 0xfe, 0, 126, 0, 0, 0, 0}, []byte{0x81, 126, 0, 126}},
		{65535, []byte{0x81, 0xfe, 0xff, 0xff, 0, 0, 0, 0}, []byte{0x81, 126, 0xff, 0xff}},
		{65536, []byte{0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, []byte{0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	} {
		payload := bytes.Repeat([]byte("x"), row.n)
		if got := appendFrame(nil, frame{opText, payload}); !bytes.Equal(got, append(row.out, payload...)) {
			t.Errorf("%d bytes are sent behind %x", row.n, got[:min(len(got), 14)])
		}
		f, err := readFrame(bufio.NewReader(bytes.NewReader(append(row.in0, payload...))))
		if err != nil || f.op != opText || !bytes.Equal(f.payload, payload) {
			t.Errorf("%d bytes: op %x, %d bytes, %v", row.n, f.op, len(f.payload), err)
		}
	}
	for what, b := range map[string][]byte{"masked": {0x81, 0x80, 0, 0, 0, 0}, "a piece": {0x01, 0}, "a reserved bit": {0xc1, 0}} {
		if _, err := readFrame(bufio.NewReader(bytes.NewReader(b))); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := readFrame(bufio.NewReader(bytes.NewReader([]byte{0x81, 5, 'x'}))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", err)
	}
}
