//go:build linux

package main

import (
	"errors"
	"fmt"
	"slices"
)

// check says whether a server keeps the contract that the measurements rest on.
func check(o *options) (*result, error) {
	res := &result{}
	var errs []error
	for _, c := range []struct {
		name string
		run  func(o *options) error
	}{
		{"echo", func(o *options) error { return visit(o, event("echo", 7, 20), event("echo", 7, 20)) }},
		{"echo of 900 KB", func(o *options) error { return visit(o, event("echo", 7, 900_000), event("echo", 7, 900_000)) }},
		{"echo with an ack", checkAck},
		{"broadcast", checkBroadcast},
		{"room", checkRoom},
		{"polling", func(o *options) error { return visitPolling(o.addr) }},
		{"upgrade", func(o *options) error { return visitUpgrade(o.addr) }},
	} {
		if o.proto != protoSIO5 && slices.Contains([]string{"echo with an ack", "room", "polling", "upgrade"}, c.name) {
			continue
		}
		res.Count++
		if err := c.run(o); err != nil {
			res.Errors++
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		res.First = err.Error()
	}
	return res, nil
}

func visit(o *options, text, want []byte) error {
	c, err := dial(o.addr, o.proto)
	if err != nil {
		return err
	}
	defer func() { _ = c.c.Close() }()
	return c.roundTrip(text, want)
}

func checkAck(o *options) error {
	return visit(o, []byte(`4212["echo",1,"two",{"three":[3]}]`), []byte(`4312[1,"two",{"three":[3]}]`))
}

// checkBroadcast: everybody gets it, the sender included.
func checkBroadcast(o *options) error {
	conns, err := newLoad(o).dial(3)
	if err != nil {
		return err
	}
	defer closeAll(conns)
	want := event("b", 5, 20)
	if err := conns[0].roundTrip(event("broadcast", 5, 20), want); err != nil {
		return err
	}
	for _, c := range conns[1:] {
		if _, err := c.expect(string(want)); err != nil {
			return err
		}
	}
	return nil
}

// checkRoom: who has joined gets it, and nobody else.
func checkRoom(o *options) error {
	conns, err := newLoad(o).dial(3)
	if err != nil {
		return err
	}
	defer closeAll(conns)
	if err := enter(conns[:2]); err != nil {
		return err
	}
	want := event("b", 5, 20)
	if err := conns[0].roundTrip(event("room", 5, 20), want); err != nil {
		return err
	}
	if _, err := conns[1].expect(string(want)); err != nil {
		return err
	}
	if err := conns[2].roundTrip(event("echo", 6, 20), event("echo", 6, 20)); err != nil {
		return fmt.Errorf("of one that has not joined: %w", err)
	}
	return nil
}
