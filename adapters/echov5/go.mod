module github.com/siokit/siokit/adapters/echov5

go 1.26.0

require (
	github.com/labstack/echo/v5 v5.4.4
	github.com/siokit/siokit v0.1.0
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/ws v1.5.0 // indirect
	golang.org/x/time v0.15.0 // indirect
)

replace github.com/siokit/siokit => ../..
