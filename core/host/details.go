package host

// Wrapper is an Exchange around another one, as middleware of sio.Server's UseExchange
// makes it. The exchange inside may implement more than Exchange ([Prober], [Detailer],
// [CookieHider]). A wrapper that has Unwrap keeps these: [As] asks the wrapper first and
// then the exchange inside.
type Wrapper interface {
	Exchange
	// Unwrap returns the exchange inside.
	Unwrap() Exchange
}

// As returns x, or the first one inside of it, as a T; see [Wrapper].
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

// CookieHider is an Exchange that can remove the cookies from its request: after it
// neither Header nor EachHeader nor the framework's context shows them. For a host
// without CookieHider the core hides the cookies in Header and EachHeader only.
type CookieHider interface {
	HideCookies()
}

// Details are what a framework knows about a request beyond HTTP. They may use memory of
// the request: code that keeps them after ServeExchange must copy them, as sio.Request
// does.
type Details struct {
	URL          string            // the request target as it was sent, path and query
	ClientIP     string            // the client as the framework sees it, behind its trusted proxies
	RoutePattern string            // the route that matched, "" when the host has none
	Params       map[string]string // route parameters
	// Values are what the adapter's Keep picked from the host's request values.
	// The core copies them with CopyValues, and leaves out what that refuses.
	Values map[string]any
	// Believes is asked once for each server: the setting by which the host
	// takes ClientIP from what any client claims, such as in X-Forwarded-For, ""
	// when it does not. Nil: unknown, or not so for this request. It is valid until
	// ServeExchange returns. For a host on net/http that sets neither this nor
	// ClientIP, ServeHTTP sets it when a middleware has replaced RemoteAddr.
	Believes func() string
}

// Detailer is an Exchange that knows Details. It is asked during a handshake,
// and where an application makes a sio.Request of a later exchange.
type Detailer interface {
	Details() Details
}
