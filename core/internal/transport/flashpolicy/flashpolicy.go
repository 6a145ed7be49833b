// Package flashpolicy serves the policy file that the Flash plug-in asks for
// before it opens a flashsocket: one TCP connection, one question, one answer.
package flashpolicy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// question is what a plug-in sends, with a zero byte behind it.
const question = "<policy-file-request/>"

// patience bounds how long a client may take to ask.
const patience = 3 * time.Second

// Policy returns the answer that lets pages of the origins open connections to
// port, with its zero byte. An origin is what Options.Origins holds: a single
// star admits all, a star as the leftmost label its subdomains.
func Policy(origins []string, port int) []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0"?>` + "\n")
	b.WriteString(`<!DOCTYPE cross-domain-policy SYSTEM "http://www.macromedia.com/xml/dtds/cross-domain-policy.dtd">` + "\n")
	b.WriteString("<cross-domain-policy>\n")
	for _, origin := range origins {
		domain := origin
		if origin != "*" {
			u, err := url.Parse(origin)
			if err != nil || u.Hostname() == "" {
				continue
			}
			domain = u.Hostname()
		}
		b.WriteString(`<allow-access-from domain="`)
		_ = xml.EscapeText(&b, []byte(domain))
		b.WriteString(`" to-ports="` + strconv.Itoa(port) + `"/>` + "\n")
	}
	b.WriteString("</cross-domain-policy>\n\x00")
	return b.Bytes()
}

// Server answers policy requests.
type Server struct {
	answer []byte
	ln     net.Listener
	conns  sync.WaitGroup
	slots  chan struct{}
}

// maxConns bounds the clients that are being answered.
const maxConns = 64

// Serve answers on ln, in the background, until Close.
func Serve(ln net.Listener, policy []byte) *Server {
	s := &Server{answer: policy, ln: ln, slots: make(chan struct{}, maxConns)}
	s.conns.Add(1)
	go s.accept()
	return s
}

// Close stops answering and waits for the clients that are being answered.
func (s *Server) Close() error {
	err := s.ln.Close()
	s.conns.Wait()
	return err
}

func (s *Server) accept() {
	defer s.conns.Done()
	for {
		c, err := s.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // such as too many open files: it may pass
			time.Sleep(10 * time.Millisecond)
			continue
		}
		s.slots <- struct{}{}
		s.conns.Add(1)
		go func() {
			defer s.conns.Done()
			defer func() { <-s.slots }()
			s.serve(c)
		}()
	}
}

// serve reads the question and answers it. Whoever asks anything else gets nothing.
func (s *Server) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	var b [len(question)]byte
	if _, err := io.ReadFull(c, b[:]); err != nil || !strings.EqualFold(string(b[:]), question) {
		return
	}
	_, _ = c.Write(s.answer)
}
