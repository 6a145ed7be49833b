package sio

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// family are the namespaces that belong to one pattern or function.
type family struct {
	match    func(path string, r *Request) (map[string]string, bool)
	byName   func(path string) (map[string]string, bool) // nil: a request is needed
	children map[string]*Namespace                       // guarded by Server.mu
	bus      string                                      // its name among the nodes of a cluster
}

// OfPattern returns the namespace that stands for all whose names match pattern:
// segments between slashes, of which {name} matches any one segment, and {name...} at
// the end the rest. Namespace.Param returns what they matched. It panics when the
// pattern is malformed.
//
// A namespace that Of has created goes first, then patterns and functions in the order
// in which they were added. So a name with handlers of its own must be registered
// before the pattern.
//
// A matching namespace is made when the first client joins it, and removed with its
// values when the last one has left. Options.MaxDynamicNamespaces bounds how many exist
// at once.
func (s *Server) OfPattern(pattern string) *Namespace {
	pattern = cleanPath(pattern)
	segments := parsePattern(pattern)
	match := func(path string) (map[string]string, bool) { return matchPattern(segments, path) }
	return s.dynamic(pattern, &family{
		match:  func(path string, _ *Request) (map[string]string, bool) { return match(path) },
		byName: match,
	})
}

// OfFunc returns the namespace that stands for all that match accepts, by name and by
// the client's request. match is called when a client asks for a namespace that does
// not exist. Otherwise OfFunc is like OfPattern. Decide in OnConnect who may join: it
// sees the auth payload and can give reasons.
func (s *Server) OfFunc(match func(path string, r *Request) bool) *Namespace {
	if match == nil {
		panic("sio: OfFunc with a nil function")
	}
	return s.dynamic("func", &family{match: func(path string, r *Request) (map[string]string, bool) {
		return nil, match(path, r)
	}})
}

func (s *Server) dynamic(path string, f *family) *Namespace {
	f.children = make(map[string]*Namespace)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.patterns {
		if n.path == path && f.byName != nil {
			return n
		}
	}
	n := &Namespace{srv: s, path: path, many: f}
	n.table.Store(n.compile(&n.hooks))
	if f.bus = path; f.byName == nil {
		f.bus = fmt.Sprint("func ", len(s.patterns)) // the same on every node that registers in the same order
	}
	n.enterBus("", false)
	s.patterns = append(s.patterns, n)
	return n
}

// Lookup returns the namespace with this name if it exists now, or nil, and creates
// nothing. A dynamic namespace is removed when its last client leaves: what Lookup has
// returned before addresses nobody from then on, also when a new namespace of the same
// name exists. Of does not have this restriction.
func (s *Server) Lookup(path string) *Namespace {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.namespaces[cleanPath(path)]
}

// enter returns the namespace that a client asks for, or nil. It is counted until
// exit, so that it does not go away meanwhile.
// match asks one of the patterns and functions.
func (s *Server) enter(path string, match func(p *Namespace) (params map[string]string, ok bool, err error)) (*Namespace, error) {
	s.mu.Lock()
	n, patterns := s.namespaces[path], s.patterns
	if n != nil && n.parent != nil {
		n.refs++
	}
	s.mu.Unlock()
	if n != nil {
		return n, nil
	}
	for _, p := range patterns { // application code: not under the lock
		params, ok, err := match(p)
		if err != nil {
			return nil, err
		}
		if ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.namespaces[path] == nil && s.dynamics >= s.opts.MaxDynamicNamespaces {
				return nil, errTooManyDynamic
			}
			return s.child(p, path, params), nil
		}
	}
	return nil, nil
}

// errTooManyDynamic: there are as many namespaces of patterns and functions as
// Options.MaxDynamicNamespaces allows.
var errTooManyDynamic = errors.New("sio: too many dynamic namespaces")

// kept are the values of the namespace, of one that Of has found by its name those of the
// namespace that exists now, or values that nobody keeps.
func (n *Namespace) kept() *values {
	if n.named {
		if live := n.srv.Lookup(n.path); live != nil {
			return &live.values
		}
		return new(values)
	}
	return &n.values
}

// child returns a namespace of a pattern, counted once more; s.mu is held.
func (s *Server) child(parent *Namespace, path string, params map[string]string) *Namespace {
	n := s.namespaces[path]
	if n == nil {
		n = &Namespace{srv: s, path: path, parent: parent, params: params}
		s.namespaces[path] = n
		parent.many.children[path] = n
		s.dynamics++
		n.enterBus("", false)
	}
	n.refs++
	return n
}

// exit is for a client that has left or was refused.
func (n *Namespace) exit() {
	if n.parent == nil {
		return
	}
	n.srv.mu.Lock()
	n.refs--
	last := n.refs == 0
	if last {
		delete(n.srv.namespaces, n.path)
		delete(n.parent.many.children, n.path)
		n.srv.dynamics--
		n.exitBus("", false)
	}
	n.srv.mu.Unlock()
	if l := n.recovery.Load(); last && l != nil {
		l.close()
	}
}

// several reports whether n stands for other namespaces: all that match, or the one
// that has its name.
func (n *Namespace) several() bool { return n.many != nil || n.named }

// members are the namespaces that n stands for: itself, all that match, or the one that
// has its name now.
func (n *Namespace) members() []*Namespace {
	if !n.several() {
		return []*Namespace{n}
	}
	n.srv.mu.RLock()
	defer n.srv.mu.RUnlock()
	if n.named {
		if live := n.srv.namespaces[n.path]; live != nil {
			return []*Namespace{live}
		}
		return nil
	}
	return slices.Collect(maps.Values(n.many.children))
}

// segment is a part of a pattern between slashes.
type segment struct {
	text string // literal, or the wildcard's name
	wild bool
	rest bool
}

func parsePattern(pattern string) []segment {
	bad := func(why string) { panic(fmt.Sprintf("sio: OfPattern(%q): %s", pattern, why)) }
	var list []segment
	seen := map[string]bool{}
	parts := strings.Split(pattern[1:], "/")
	for i, part := range parts {
		name, opens := strings.CutPrefix(part, "{")
		name, closes := strings.CutSuffix(name, "}")
		if opens != closes || !opens && strings.ContainsAny(part, "{}") {
			bad("a wildcard is a whole segment, as in /a/{b}")
		}
		if !opens {
			list = append(list, segment{text: part})
			continue
		}
		name, rest := strings.CutSuffix(name, "...")
		switch {
		case name == "" || strings.ContainsAny(name, "{}"):
			bad("a wildcard needs a name")
		case seen[name]:
			bad("two wildcards are named " + name)
		case rest && i < len(parts)-1:
			bad("{" + name + "...} is not at the end")
		}
		seen[name] = true
		list = append(list, segment{text: name, wild: true, rest: rest})
	}
	if len(seen) == 0 {
		bad("it has no wildcard; use Of")
	}
	return list
}

func matchPattern(segments []segment, path string) (map[string]string, bool) {
	params := make(map[string]string)
	rest := strings.TrimPrefix(path, "/")
	for i, seg := range segments {
		if seg.rest {
			params[seg.text] = rest
			return params, rest != ""
		}
		part, after, more := strings.Cut(rest, "/")
		if more != (i < len(segments)-1) || seg.wild && part == "" || !seg.wild && part != seg.text {
			return nil, false
		}
		if seg.wild {
			params[seg.text] = part
		}
		rest = after
	}
	return params, true
}
