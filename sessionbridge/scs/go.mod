module github.com/siokit/siokit/sessionbridge/scs

go 1.26.0

require (
	github.com/alexedwards/scs/v2 v2.9.0
	github.com/siokit/siokit v0.1.0
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/ws v1.5.0 // indirect
)

replace github.com/siokit/siokit => ../..
