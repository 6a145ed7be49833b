package sio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/siokit/siokit/core/cluster"
	"github.com/siokit/siokit/core/internal/node"
)

// How sessions get into the journal of a cluster, and what of them.

const (
	// saveTime is how long the journal may take for a session.
	saveTime = 5 * time.Second
	// maxClaims is how many sessions are read from the journal, and written to it, at once.
	maxClaims = 64
)

// savedSession is what siokit keeps of a session besides what Node does.
type savedSession struct {
	Namespace string                     `json:"nsp"`
	Bound     string                     `json:"bound,omitempty"` // a hash of what it is bound to
	Live      string                     `json:"live,omitempty"`  // the node at which the client was connected; see StoreLive
	Until     int64                      `json:"until"`           // ms: how long it is kept
	Ends      int64                      `json:"ends,omitempty"`  // ms
	From      uint64                     `json:"from"`
	All       uint64                     `json:"all"`
	Last      uint64                     `json:"last"`
	Since     uint64                     `json:"since"`
	Forgotten uint64                     `json:"forgotten,omitempty"`
	Broke     uint64                     `json:"broke,omitempty"`
	Joined    map[string]savedStay       `json:"joined,omitempty"`
	Left      []savedStay                `json:"left,omitempty"`
	Exact     map[uint64]bool            `json:"exact,omitempty"`
	Values    map[string]json.RawMessage `json:"values,omitempty"`
}

type savedStay struct {
	Name   string `json:"name,omitempty"`
	From   uint64 `json:"from"`
	To     uint64 `json:"to,omitempty"`
	Placed uint64 `json:"placed,omitempty"`
}

// hashed is what is kept of the key of Conn.BindRecovery, which may be a secret.
func hashed(bound string) string {
	if bound == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(bound))
	return hex.EncodeToString(sum[:])
}

// session is the session as it is kept, while the client is away.
func (rec *recoverable) session(keep time.Duration) (*cluster.Session, error) {
	return rec.sessionOf(rec.ends, keep, func(*savedSession) {})
}

// sessionOf is the session with this end. change changes what is saved.
func (rec *recoverable) sessionOf(ends time.Time, keep time.Duration, change func(s *savedSession)) (*cluster.Session, error) {
	l := rec.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if rec.frozen.err != nil {
		return nil, rec.frozen.err
	}
	s := &cluster.Session{ID: rec.id, PID: rec.pid, Rooms: []string{rec.id}, Data: rec.data, Moves: rec.moves}
	saved := savedSession{
		Namespace: l.ns.path, Bound: hashed(rec.bound), From: rec.from, All: rec.all, Last: rec.last, Since: rec.since,
		Until: time.Now().Add(keep).UnixMilli(), Forgotten: rec.forgotten, Broke: rec.broke, Joined: make(map[string]savedStay, len(rec.joined)), Exact: rec.exact, Values: rec.frozen.values,
	}
	if !ends.IsZero() {
		saved.Ends = ends.UnixMilli()
	}
	for name, st := range rec.joined {
		saved.Joined[name] = savedStay{From: st.from, Placed: st.placed}
		if !ServerRoom(name) {
			s.Rooms = append(s.Rooms, name)
		}
	}
	for _, st := range rec.left {
		saved.Left = append(saved.Left, savedStay{st.name, st.from, st.to, st.placed})
	}
	change(&saved)
	var err error
	s.Extra, err = json.Marshal(saved)
	return s, err
}

// errNotTheirs: a client has asked for a session of somebody else.
var errNotTheirs = errors.New("sio: a session of another namespace, or that is bound to somebody else or to nobody")

// restored is a session as another node, or an earlier process, has saved it. The error says why
// it is none for the socket.
func (r *recovery) restored(s *Socket, st *cluster.Session) (*recoverable, error) {
	rec := &recoverable{pid: st.PID, id: st.ID, bound: s.client.boundTo(), log: r.log(s.ns), stored: true, data: st.Data,
		moves: st.Moves + 1, joined: make(map[string]stay), ended: make(chan struct{})}
	var saved savedSession
	switch {
	case st.ID == "" || len(st.ID) > maxSocketID:
		return nil, errors.New("sio: no id of a socket")
	case st.Extra == nil && rec.bound != "":
		return nil, errNotTheirs
	case st.Extra == nil:
	default:
		if err := json.Unmarshal(st.Extra, &saved); err != nil {
			return nil, err
		}
		if !r.isTheirs(s, &saved) {
			return nil, errNotTheirs
		}
	}
	if saved.Ends != 0 {
		rec.ends = time.UnixMilli(saved.Ends)
	}
	rec.from, rec.all, rec.last, rec.since, rec.forgotten, rec.broke, rec.exact = saved.From, saved.All, saved.Last, saved.Since, saved.Forgotten, saved.Broke, saved.Exact
	for _, name := range st.Rooms { // Node may have had it meanwhile: the rooms are right, and their positions maybe old
		if name != st.ID && !ServerRoom(name) {
			was, here := saved.Joined[name]
			if !here { // joined at Node: how far the client was is what it says, and no more
				rec.last = never
			}
			rec.joined[name] = stay{was.From, was.Placed}
		}
	}
	for name, was := range saved.Joined {
		if ServerRoom(name) {
			rec.joined[name] = stay{was.From, was.Placed}
		}
	}
	for _, was := range saved.Left {
		rec.left = append(rec.left, leftRoom{was.Name, stay{was.From, was.Placed}, was.To})
	}
	if st.Extra == nil {
		rec.last = never
	}
	rec.frozen = frozen{known: true, values: saved.Values}
	if len(saved.Values) > 0 {
		rec.values = make(map[any]any, len(saved.Values))
	}
	for name, raw := range saved.Values {
		if restoredKeys.shared(name) {
			return nil, errTwoKeys
		}
		rec.values[sentKey(name)] = sentValue{raw, s.ns.srv.opts.JSON}
	}
	return rec, nil
}

// maxSocketID is how long the id of a socket may be that a session names.
const maxSocketID = 256

// save has a session of a client that is away kept by the journal, and not by this node any more.
// When that fails the node keeps it.
func (r *recovery) save(rec *recoverable) {
	defer r.saves.Done()
	rec.storing.Lock()
	r.writes <- struct{}{}
	err := r.saveNow(rec)
	<-r.writes
	rec.storing.Unlock()
	r.mu.Lock()
	close(rec.saved)
	rec.saved = nil
	kept := err == nil && rec.place != nil
	if kept {
		r.forget(rec)
		r.arm()
	}
	r.mu.Unlock()
	if kept {
		rec.release()
	}
	if err != nil {
		if suppressed, ok := r.srv.notices.Allow(FailureCluster, "session"); ok {
			r.srv.opts.Logger.Warn("siokit: a session is not kept for other nodes", "namespace", rec.log.ns.path, "error", err, "suppressed", suppressed)
		}
	}
}

var errTorn = errors.New("sio: events are missing in the log of the cluster")

func (r *recovery) saveNow(rec *recoverable) error {
	if r.torn() {
		return errTorn
	}
	r.mu.Lock()
	keep := rec.until - r.wheel.Now()
	r.mu.Unlock()
	s, err := rec.session(keep)
	if err != nil || keep <= 0 {
		return err
	}
	return r.keep(rec, s, keep)
}

// startSave begins to save a session whose client is away. r.mu is held.
func (r *recovery) startSave(rec *recoverable) {
	if r.journal != nil && rec.saved == nil {
		rec.saved = make(chan struct{})
		r.saves.Add()
		go r.save(rec)
	}
}

// saveAway saves what could not be saved before.
func (r *recovery) saveAway() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for e := r.away.Front(); e != nil; e = e.Next() {
		r.startSave(e.Value.(*recoverable))
	}
}

// saveAll waits until sessions that are being saved are.
func (r *recovery) saveAll(ctx context.Context) error {
	select {
	case <-r.live.close():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-r.saves.Idle():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pidMark is what the name of a room begins with by which the nodes ask each other for a session.
const pidMark = serverRoom + "pid:"

// asksFor is what a node asks the others for: the secret of a session, a hash of what it is bound
// to, and its namespace.
func asksFor(s *Socket, pid string) []string {
	return []string{pidMark + pid, hashed(s.client.boundTo()), s.ns.path}
}

// holds is 1 when this node has the session that another node asks for. A socket that has it is
// ended, and the session is saved.
func (r *recovery) holds(asked []string) (n int) {
	if r == nil || r.journal == nil || len(asked) != 3 {
		return 0
	}
	pid, ok := strings.CutPrefix(asked[0], pidMark)
	if !ok {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	rec := r.byPID[pid]
	switch {
	case rec == nil && r.claiming[pid] > 0: // its client may have gone
		return 1
	case rec == nil || !equal(hashed(rec.bound), asked[1]) || rec.log.ns.path != asked[2]:
		return 0
	case rec.socket == nil:
		if rec.place != nil {
			r.startSave(rec)
		}
	default:
		go rec.socket.lose()
	}
	return 1
}

var _ node.Appender = (*recovery)(nil)
