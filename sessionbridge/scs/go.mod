module github.com/siokit/siokit/sessionbridge/scs

go 1.25.0

require github.com/siokit/siokit v0.0.0

require (
	github.com/alexedwards/scs/v2 v2.9.0
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/gobwas/pool v0.2.1 // indirect
	github.com/gobwas/ws v1.4.0 // indirect
)

replace github.com/siokit/siokit => ../..
