module github.com/siokit/siokit/interop

go 1.25.0
