package sio

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// inMemory sends requests to a server without a network, so that the clock may be a virtual
// one.
type inMemory struct {
	t   *testing.T
	srv *Server
}

func (m inMemory) do(method, query, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/socket.io/?EIO=4&transport=polling&"+query, strings.NewReader(body))
	w := httptest.NewRecorder()
	m.srv.ServeHTTP(w, r)
	return w
}

// join opens a session that polls, joins the default namespace, and returns the query of
// the session's requests.
func (m inMemory) join() (query string) {
	m.t.Helper()
	_, sid, _ := strings.Cut(m.do("GET", "", "").Body.String(), `"sid":"`)
	sid, _, _ = strings.Cut(sid, `"`)
	query = "sid=" + sid
	m.do("POST", query, "40")
	if got := m.do("GET", query, "").Body.String(); !strings.HasPrefix(got, "40{") {
		m.t.Fatal(got)
	}
	return query
}

// until polls until the session ends, and returns when that was. All else is a ping, or
// goes to got.
func (m inMemory) until(from time.Time, query string, got func(packet string)) time.Duration {
	for {
		w := m.do("GET", query, "")
		for _, p := range strings.Split(w.Body.String(), "\x1e") {
			switch {
			case p == "1" || w.Code != 200:
				return time.Since(from)
			case p == "2":
				m.do("POST", query, "3")
			case p != "6":
				got(p)
			}
		}
	}
}

// TestDrainRate: the clients have their turns one after the other, at the rate that is asked
// for, and are served until then. A deadline makes the rate higher.
func TestDrainRate(t *testing.T) {
	const clients = 40
	for _, row := range []struct {
		name     string
		drain    Drain
		deadline time.Duration // 0: none
		all      time.Duration // from the first turn to the last
	}{
		{"at once", Drain{}, 0, 0},
		{"ten a second", Drain{Rate: 10}, 0, 3900 * time.Millisecond},
		{"one a second", Drain{Rate: 1}, 0, 39 * time.Second},
		{"a deadline that is far", Drain{Rate: 10}, time.Minute, 3900 * time.Millisecond},
		{"a deadline", Drain{Rate: 1, AnswerTimeout: 4 * time.Second}, 24 * time.Second, 19500 * time.Millisecond},
		{"a deadline that is near", Drain{Rate: 1}, 10 * time.Second, 4875 * time.Millisecond},
		{"behind the notice", Drain{Rate: 10, Notice: 5 * time.Second}, 0, 8900 * time.Millisecond},
		{"a notice beyond the deadline", Drain{Notice: time.Minute}, 10 * time.Second, 5 * time.Second},
		{"a notice that is half of the time", Drain{Rate: 10, Notice: 5 * time.Second}, 10 * time.Second, 5*time.Second + 2437500*time.Microsecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := NewServer(&Options{Drain: row.drain, Logger: slog.New(slog.DiscardHandler)})
				srv.Of("/").On("echo", Reply(func(_ context.Context, _ *Socket, n int) (int, error) { return n, nil }))
				m := inMemory{t, srv}
				var queries []string
				for range clients {
					queries = append(queries, m.join())
				}
				from := time.Now()
				ends := make(chan time.Duration, clients)
				for _, q := range queries {
					go func() {
						sent, answers := 0, 0
						over := make(chan struct{})
						go func() {
							for {
								select {
								case <-over:
									return
								case <-time.After(time.Second):
									if m.do("POST", q, fmt.Sprintf(`42%d["echo",1]`, sent)).Code == 200 {
										sent++
									}
								}
							}
						}()
						end := m.until(from, q, func(p string) {
							if p != fmt.Sprintf("43%d[1]", answers) {
								t.Errorf("answer %d is %s", answers, p)
							}
							answers++
						})
						close(over)
						if due := int(end / time.Second); answers < due-1 {
							t.Errorf("%d answers in %v", answers, end)
						}
						ends <- end
					}()
				}
				ctx := context.Background()
				if row.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, row.deadline)
					defer cancel()
				}
				if err := srv.Shutdown(ctx); err != nil {
					t.Error(err)
				}
				var all []time.Duration
				for range clients {
					all = append(all, <-ends)
				}
				slices.Sort(all)
				last := all[clients-1]
				if last < row.all || last > row.all+100*time.Millisecond {
					t.Errorf("the last turn is after %v, want %v", last, row.all)
				}
				start := row.drain.Notice
				if row.deadline > 0 {
					start = min(start, row.deadline/2)
				}
				for i, end := range all {
					want := start + (row.all-start)*time.Duration(i)/(clients-1)
					if end < want-time.Millisecond || end > want+100*time.Millisecond {
						t.Errorf("turn %d is after %v, want %v", i, end, want)
					}
				}
				time.Sleep(time.Minute) // timers of the server end by themselves
			})
		})
	}
}

// TestDrainRandom: the order of the turns is not that in which clients have come.
func TestDrainRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(&Options{Drain: Drain{Rate: 100}, Logger: slog.New(slog.DiscardHandler)})
		m := inMemory{t, srv}
		const clients = 30
		order := make(chan int, clients)
		for i := range clients {
			q := m.join()
			go func() {
				m.until(time.Now(), q, func(string) {})
				order <- i
			}()
		}
		_ = srv.Shutdown(context.Background())
		var got []int
		for range clients {
			got = append(got, <-order)
		}
		if slices.IsSorted(got) {
			t.Errorf("the order is %v", got)
		}
		time.Sleep(time.Minute)
	})
}

// TestReady: the server is not ready from the moment on in which Shutdown begins. New clients
// are served for Drain.Notice, and refused afterwards.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(&Options{Drain: Drain{Notice: 10 * time.Second}, Logger: slog.New(slog.DiscardHandler)})
		m := inMemory{t, srv}
		probe := func(method string) (int, string) {
			w := httptest.NewRecorder()
			srv.ReadyHandler().ServeHTTP(w, httptest.NewRequest(method, "/ready", nil))
			body, _ := io.ReadAll(w.Body)
			return w.Code, string(body) + w.Header().Get("Cache-Control")
		}
		if code, body := probe("GET"); code != http.StatusOK || body != "ready\nno-store" || !srv.Ready() {
			t.Error(code, body, srv.Ready())
		}
		done := make(chan error, 1)
		go func() { done <- srv.Shutdown(context.Background()) }()
		synctest.Wait()
		if code, body := probe("GET"); code != http.StatusServiceUnavailable || body != "shutting down\nno-store" || srv.Ready() {
			t.Error(code, body, srv.Ready())
		}
		time.Sleep(9 * time.Second)
		q := m.join()
		if err := srv.Shutdown(context.Background()); err != ErrServerClosed {
			t.Error(err)
		}
		if end := m.until(time.Now(), q, func(string) {}); end < time.Second || end > 1100*time.Millisecond {
			t.Errorf("the turn is after %v", end)
		}
		if code := m.do("GET", "", "").Code; code != http.StatusServiceUnavailable {
			t.Error(code)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if code, _ := probe("HEAD"); code != http.StatusServiceUnavailable {
			t.Error(code)
		}
		time.Sleep(time.Minute)
	})
}
