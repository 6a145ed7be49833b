// Package jsontext reads and writes JSON as text, without decoding it: it cuts arrays
// into elements, walks and validates values, and writes strings. It also knows the one
// value of Socket.IO's own, the placeholder that stands for an attachment.
package jsontext
