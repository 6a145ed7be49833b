module github.com/siokit/siokit/interop

go 1.26.0

require (
	github.com/redis/rueidis v1.0.79
	github.com/siokit/siokit v0.1.0
	github.com/siokit/siokit/cluster/redis v0.1.0
)

require golang.org/x/sys v0.47.0 // indirect

replace github.com/siokit/siokit => ..

replace github.com/siokit/siokit/cluster/redis => ../cluster/redis
