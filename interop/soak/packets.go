package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// malformed is a packet that the server should not send.
type malformed string

// Error implements error.
func (m malformed) Error() string { return fmt.Sprintf("malformed: %q", string(m)) }

// heard is an event or an ack.
type heard struct {
	name string // "" for an ack
	id   int    // of the ack, or of the one that is wanted; -1: none
	args []json.RawMessage
}

// event is the text of an event; with an id its ack is wanted.
func event(old bool, id int, name string, arg any) string {
	a, _ := json.Marshal(arg)
	if old {
		ack := ""
		if id >= 0 {
			ack = fmt.Sprint(id, "+")
		}
		return fmt.Sprintf(`5:%s::{"name":%q,"args":[%s]}`, ack, name, a)
	}
	ack := ""
	if id >= 0 {
		ack = fmt.Sprint(id)
	}
	return fmt.Sprintf(`2%s[%q,%s]`, ack, name, a)
}

// ack is the text of an ack.
func ack(old bool, id int, arg any) string {
	a, _ := json.Marshal(arg)
	if old {
		return fmt.Sprintf(`6:::%d+[%s]`, id, a)
	}
	return fmt.Sprintf(`3%d[%s]`, id, a)
}

// goodbye is the text of a DISCONNECT.
func goodbye(old bool) string {
	if old {
		return "0::"
	}
	return "1"
}

// parse reads an event or an ack; ok is false for the answer to CONNECT.
func parse(old bool, text string) (h heard, ok bool) {
	bad := func() { panic(malformed(text)) }
	h.id = -1
	number := func(s string) {
		if s == "" {
			return
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			bad()
		}
		h.id = n
	}
	if old {
		parts := strings.SplitN(text, ":", 4) // type, id, endpoint, data
		if len(parts) < 4 {
			bad()
		}
		switch parts[0] {
		case "5":
			number(strings.TrimSuffix(parts[1], "+"))
			var e struct {
				Name string
				Args []json.RawMessage
			}
			if json.Unmarshal([]byte(parts[3]), &e) != nil {
				bad()
			}
			h.name, h.args = e.Name, e.Args
		case "6":
			id, args, _ := strings.Cut(parts[3], "+")
			number(id)
			if json.Unmarshal([]byte(args), &h.args) != nil {
				bad()
			}
		default:
			bad()
		}
		return h, true
	}
	switch text[0] {
	case '0':
		return h, false
	case '1':
		panic(gaveUp("disconnected by the server"))
	case '2', '3':
	default:
		bad()
	}
	i := strings.IndexByte(text, '[')
	if i < 0 {
		bad()
	}
	number(text[1:i])
	if json.Unmarshal([]byte(text[i:]), &h.args) != nil {
		bad()
	}
	if text[0] == '2' {
		if json.Unmarshal(h.args[0], &h.name) != nil {
			bad()
		}
		h.args = h.args[1:]
	}
	return h, true
}
