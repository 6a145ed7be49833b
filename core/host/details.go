package host

// Wrapper is an Exchange around another one, as middleware of sio.Server.UseExchange
// makes it:
//
//	type counted struct{ host.Exchange }
//
//	func (x counted) Unwrap() host.Exchange { return x.Exchange }
//
// The exchange inside may implement more than Exchange ([Prober], [Detailer],
// [CookieHider]). A wrapper that has Unwrap keeps these: [As] asks the wrapper first and
// then the exchange inside. Without Unwrap route parameters, kept values and the client's
// address are lost.
type Wrapper interface {
	Exchange
	// Unwrap returns the exchange inside.
	Unwrap() Exchange
}

// As returns x as a T, or the first exchange inside of x that is one; see [Wrapper]. It is
// to exchanges what errors.As is to errors, and the way to ask for an optional interface:
//
//	if d, ok := host.As[host.Detailer](x); ok {
func As[T any](x Exchange) (t T, ok bool) {
	for x != nil {
		if t, ok = x.(T); ok {
			return t, true
		}
		w, wraps := x.(Wrapper)
		if !wraps {
			break
		}
		x = w.Unwrap()
	}
	return t, false
}

// CookieHider is an Exchange that can remove the cookies from its request. The core
// calls HideCookies when a page of another origin may connect, but not in the name of
// the visitor. From then on neither Header nor EachHeader nor the framework's context
// shows the cookies. For a host without CookieHider the core hides them in Header and
// EachHeader only.
type CookieHider interface {
	// HideCookies removes the cookies.
	HideCookies()
}

// Details are what a framework knows about a request beyond HTTP. They become fields of
// sio.Request. All but URL may use memory of the request: code that keeps them after
// ServeExchange must copy them, as sio.Request does.
type Details struct {
	// URL is the request target as it was sent, path and query. It is a copy, as what
	// the methods of Exchange return. ServeHTTP sets it.
	URL string
	// ClientIP is the client as the framework sees it, behind its trusted proxies. "":
	// the host of Exchange.RemoteAddr.
	ClientIP string
	// RoutePattern is the route that matched, "" when the host has none.
	RoutePattern string
	// Params are the route's parameters.
	Params map[string]string
	// Values are what the adapter's Keep picked from the host's request values.
	// The core copies strings and slices of bytes, also those inside of maps, slices,
	// arrays and structs, because a host may use their memory for its next request. So
	// the copies may be kept for ever.
	//
	// A value that holds an object of a framework's request, or may hold one that
	// cannot be seen, is left out, which is logged: functions, contexts, and pointers
	// to a map that may hold anything.
	//
	// What lies behind a pointer belongs to the application and is not copied. The
	// core looks through it without a lock, so nobody may change it during the
	// handshake. Only values whose types are plain at every level are not looked
	// through.
	Values map[string]any
	// Believes returns the name of the setting by which the host takes ClientIP from a
	// header of any client, such as X-Forwarded-For, and "" when the host does not.
	// The core calls it once for each server, and logs a warning with the name. The
	// function Believes finds the answer for hosts on net/http. A nil Believes means
	// that nothing is known. It is valid until ServeExchange returns.
	//
	// For a host on net/http that sets neither this nor ClientIP, ServeHTTP sets
	// Believes when a middleware has replaced RemoteAddr.
	Believes func() string
}

// Detailer is an Exchange that knows Details; those of [ServeHTTP] come from
// HTTPConfig. The core asks for them during a handshake, and when an application calls
// sio.NewRequest for a later exchange.
type Detailer interface {
	// Details returns them; valid until ServeExchange returns.
	Details() Details
}
