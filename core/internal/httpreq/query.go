// Package httpreq reads what a request says in its query, in a form that is its body, and
// in headers that are lists. It is below package host and knows no Exchange.
package httpreq

import (
	"fmt"
	"net/url"
	"strings"
)

// QueryValue is host.QueryValue.
func QueryValue(raw, key string) string {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		k, v, _ := strings.Cut(pair, "=")
		if !unescapesTo(k, key) {
			continue
		}
		if !strings.ContainsAny(v, "%+") {
			return v
		}
		u, err := url.QueryUnescape(v)
		if err != nil {
			return ""
		}
		return u
	}
	return ""
}

// QueryCount returns how often key occurs in a raw query. A control parameter
// that occurs twice is refused: proxies and servers disagree about which one counts.
func QueryCount(raw, key string) (n int) {
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		k, _, _ := strings.Cut(pair, "=")
		if unescapesTo(k, key) {
			n++
		}
	}
	return n
}

// unescapesTo reports whether s is key, as it is or query-escaped. It stops at
// the first character that differs. A key has no plus sign and no percent sign.
func unescapesTo(s, key string) bool {
	if s == key {
		return true
	}
	i := 0
	for n := 0; n < len(key); n++ {
		if i >= len(s) {
			return false
		}
		c := s[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(s) {
				return false
			}
			hi, lo := unhex(s[i+1]), unhex(s[i+2])
			if hi < 0 || lo < 0 {
				return false
			}
			c = byte(hi<<4 | lo)
			i += 2
		}
		if c != key[n] {
			return false
		}
		i++
	}
	return i == len(s)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// FormField returns the one value of a field in a body of the type
// application/x-www-form-urlencoded. A field that is missing, doubled or badly
// escaped is an error.
func FormField(body []byte, key string) (string, error) {
	var value string
	found := false
	for rest := string(body); rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		k, v, _ := strings.Cut(pair, "=")
		if k != key {
			continue
		}
		if found {
			return "", fmt.Errorf("field %s occurs twice", key)
		}
		var err error
		if value, err = url.QueryUnescape(v); err != nil {
			return "", fmt.Errorf("field %s: %w", key, err)
		}
		found = true
	}
	if !found {
		return "", fmt.Errorf("no field %s", key)
	}
	return value, nil
}
