module github.com/siokit/siokit/release

go 1.26.0

require golang.org/x/mod v0.38.0
