module github.com/siokit/siokit/interop

go 1.26.0
