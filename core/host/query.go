package host

import "github.com/siokit/siokit/core/internal/httpreq"

// QueryValue returns the first value of key in a raw query, "" when it is
// absent or its escaping is broken. A parameter that is not wanted costs no
// memory, however it is written. It is for Exchange.Query.
func QueryValue(raw, key string) string { return httpreq.QueryValue(raw, key) }
