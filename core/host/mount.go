package host

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
)

// Mount says where and how a Handler was mounted; see [Announce].
type Mount struct {
	// Host is the adapter, such as "siofiber".
	Host string
	// BodyLimit is the largest request body that the host takes, in bytes; 0:
	// unknown, or none. Setting is the name of what sets it.
	BodyLimit int64
	Setting   string
	// Fault is a setting of the host under which clients cannot connect, and why; "":
	// none is known. It is for what is found too late for a panic: by the first request.
	Fault string
}

// Announce tells h about the host that it is mounted on. An adapter calls it when it knows
// the host's settings: while it mounts h, or with the first request. A Handler that has a
// method Mounted(Mount), as *sio.Server has, warns when the host's limits do not fit its own
// and logs a fault of the host. For any other a fault goes to slog.Default(), because nobody
// else would say why no client connects.
func Announce(h Handler, m Mount) {
	if t, ok := h.(interface{ Mounted(m Mount) }); ok {
		t.Mounted(m)
	} else if m.Fault != "" {
		slog.Error("siokit: clients cannot connect under a setting of the host", "host", m.Host, "setting", m.Fault)
	}
}

// Require panics when a handler, or one of the other things that an adapter needs,
// is nil. It names the function that was called, so that a mistake is found at
// start-up. needs are pairs of a name and a value:
//
//	host.Require("myadapter.Mount", h, "router", r) // myadapter.Mount: the router is nil
func Require(function string, h Handler, needs ...any) {
	for needs = append([]any{"handler", h}, needs...); len(needs) > 1; needs = needs[2:] {
		v := reflect.ValueOf(needs[1])
		switch v.Kind() {
		case reflect.Invalid:
		case reflect.Pointer, reflect.Func, reflect.Interface, reflect.Map:
			if !v.IsNil() {
				continue
			}
		default:
			continue
		}
		panic(fmt.Sprintf("%s: the %v is nil", function, needs[0]))
	}
}

// Believes returns setting when clientIP takes the client's address from
// X-Forwarded-For or a similar header of any client, and "" when it does not. clientIP
// is the framework's way to find the address; Believes calls it with a made-up request.
// An adapter for a framework on net/http uses the function for Details.Believes.
func Believes(setting string, clientIP func(r *http.Request) string) string {
	const peer, claim = "203.0.113.77", "198.51.100.77" // of no network
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/"}, RemoteAddr: peer + ":7", Header: http.Header{}}
	for _, name := range [...]string{"X-Forwarded-For", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "X-Appengine-Remote-Addr"} {
		r.Header.Set(name, claim)
	}
	if clientIP(r) == claim {
		return setting
	}
	return ""
}
