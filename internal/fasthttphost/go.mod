module github.com/siokit/siokit/internal/fasthttphost

go 1.26.0

require (
	github.com/siokit/siokit v0.1.0
	github.com/valyala/fasthttp v1.58.0
)

require (
	github.com/andybalholm/brotli v1.1.1 // indirect
	github.com/klauspost/compress v1.17.11 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
)

replace github.com/siokit/siokit => ../..
