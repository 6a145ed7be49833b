// Package assets has what the examples' pages load.
package assets

import _ "embed"

// Client is the official browser client 4.8, as it comes from npm (MIT).
//
//go:embed socket.io.min.js
var Client []byte
