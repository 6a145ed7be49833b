//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// session is one client that polls.
type session struct {
	http *http.Client
	url  string
}

// openSession opens a session over long polling, and joins the root namespace.
func openSession(addr string) (*session, error) {
	s := &session{
		http: &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 2}},
		url:  "http://" + addr + "/socket.io/?EIO=4&transport=polling",
	}
	packets, err := s.get()
	if err != nil {
		return nil, err
	}
	var hello struct{ SID string }
	if len(packets) != 1 || len(packets[0]) == 0 || json.Unmarshal(packets[0][1:], &hello) != nil || hello.SID == "" {
		return nil, fmt.Errorf("the answer to the handshake is %q", packets)
	}
	s.url += "&sid=" + hello.SID
	if err := s.post([]byte("40")); err != nil {
		return nil, err
	}
	_, err = s.expect("40")
	return s, err
}

func (s *session) do(method string, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, s.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	res, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %.80s", method, res.Status, text)
	}
	return text, err
}

// get is one poll: the packets that it answers.
func (s *session) get() ([][]byte, error) {
	text, err := s.do(http.MethodGet, nil)
	return bytes.Split(text, []byte{0x1e}), err
}

func (s *session) post(packet []byte) error {
	text, err := s.do(http.MethodPost, packet)
	if err == nil && string(text) != "ok" {
		err = fmt.Errorf("POST: the answer is %.40q", text)
	}
	return err
}

// expect polls until a packet that is no ping arrives.
func (s *session) expect(prefix string) ([]byte, error) {
	for {
		packets, err := s.get()
		if err != nil {
			return nil, err
		}
		for _, p := range packets {
			switch {
			case string(p) == "2":
				err = s.post([]byte("3"))
			case string(p) == "6": // ends the poll before an upgrade
			case bytes.HasPrefix(p, []byte(prefix)):
				return p, nil
			default:
				err = fmt.Errorf("got %.60q, want the prefix %s", p, prefix)
			}
			if err != nil {
				return nil, err
			}
		}
	}
}

func (s *session) close() { s.http.CloseIdleConnections() }

// poll measures echoes over long polling: each of n clients posts one and polls for it.
func poll(o *options) (*result, error) {
	l := newLoad(o)
	sessions := make([]*session, o.n)
	for i := range sessions {
		s, err := openSession(o.addr)
		if err != nil {
			return nil, err
		}
		defer s.close()
		sessions[i] = s
	}
	want := event("echo", 0, o.size)
	var wg sync.WaitGroup
	for _, s := range sessions {
		wg.Go(func() {
			for !l.stopping.Load() {
				start := time.Now()
				err := s.post(want)
				if err == nil {
					var got []byte
					if got, err = s.expect("42"); err == nil && !bytes.Equal(got, want) {
						err = fmt.Errorf("got %.60q, want %.60q", got, want)
					}
				}
				if err != nil {
					l.fail(err)
					return
				}
				l.count.Add(1)
				if l.measuring.Load() {
					l.lat.add([]time.Duration{time.Since(start)})
				}
			}
		})
	}
	res, err := l.measure()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return l.finish(res), nil
}

// connect measures churn: n clients connect, get one echo, and leave. With a rate, clients come
// at that rate instead.
func connect(o *options) (*result, error) {
	if o.rate != 0 {
		return offer(o)
	}
	visit := map[string]func(addr string) error{"ws": o.visitWebsocket, "poll": visitPolling, "upgrade": visitUpgrade}[o.mode]
	if visit == nil {
		return nil, fmt.Errorf("-mode: there is no %q", o.mode)
	}
	if o.mode != "ws" && o.proto != protoSIO5 {
		return nil, fmt.Errorf("connect: -mode %s is for -proto sio5", o.mode)
	}
	l := newLoad(o)
	var wg sync.WaitGroup
	for range o.n {
		wg.Go(func() {
			for !l.stopping.Load() {
				start := time.Now()
				if err := visit(o.addr); err != nil {
					l.fail(err)
					continue
				}
				l.count.Add(1)
				if l.measuring.Load() {
					l.lat.add([]time.Duration{time.Since(start)})
				}
			}
		})
	}
	res, err := l.measure()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return l.finish(res), nil
}

func (o *options) visitWebsocket(addr string) error {
	c, err := dial(addr, o.proto)
	if err != nil {
		return err
	}
	defer func() { _ = c.c.Close() }()
	return c.roundTrip(event("echo", 0, 16), event("echo", 0, 16))
}

func visitPolling(addr string) error {
	s, err := openSession(addr)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.post(event("echo", 0, 16)); err != nil {
		return err
	}
	if _, err := s.expect(string(event("echo", 0, 16))); err != nil {
		return err
	}
	return s.post([]byte("1"))
}

// visitUpgrade polls, probes a websocket, moves there, and gets its echo over it.
func visitUpgrade(addr string) error {
	s, err := openSession(addr)
	if err != nil {
		return err
	}
	defer s.close()
	w, err := dial(addr, protoTCP)
	if err != nil {
		return err
	}
	defer func() { _ = w.c.Close() }()
	_ = w.c.SetDeadline(time.Now().Add(20 * time.Second))
	w.mask, w.sio = true, true
	if err := w.upgrade(addr, "/socket.io/?EIO=4&transport=websocket&sid="+s.url[strings.LastIndexByte(s.url, '=')+1:]); err != nil {
		return err
	}
	if err := w.roundTrip([]byte("2probe"), []byte("3probe")); err != nil {
		return err
	}
	w.add([]byte("5"))
	return w.roundTrip(event("echo", 0, 16), event("echo", 0, 16))
}
