module github.com/siokit/siokit/adapters/echov5

go 1.25.0

require (
	github.com/labstack/echo/v5 v5.4.4
	github.com/siokit/siokit v0.0.0
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/pool v0.2.1 // indirect
	github.com/gobwas/ws v1.4.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/siokit/siokit => ../..
