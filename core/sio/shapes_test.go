package sio_test

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/siokit/siokit/core/sio"
)

// counts is what an answer shows a request to have counted as.
func counts(w *httptest.ResponseRecorder) string {
	body := w.Body.String()
	for _, c := range []struct{ form, as string }{
		{`^0\{"sid"`, "eio4"},
		{`^\d+:0\{"sid"`, "eio3"},
		{`(?s)^\x00[\x00-\x09]+.0\{"sid"`, "eio3 binary"},
		{`^[\w-]{27}:45:60:`, "sio1"},
		{`^\{"code":0,"message":"Transport unknown`, "transport"},
		{`^\{"code":1,`, "session"},
		{`^\{"code":2,`, "method"},
		{`^\{"code":3,`, "bad"},
		{`^\{"code":5,"message":"Unsupported protocol version"`, "version"},
		{`^\{"code":5,"message":"Unsupported protocol version: `, "off"},
		{`^Unsupported protocol version: `, "off, 0.9"},
		{`^7:::1\+0$`, "stranger, 0.9"},
		{`^Protocol version not supported`, "version, 0.9"},
		{`^Transport unknown`, "transport, 0.9"},
		{`^Bad handshake method`, "method, 0.9"},
		{`^Session ID unknown`, "session, 0.9"},
	} {
		if regexp.MustCompile(c.form).MatchString(body) {
			return c.as
		}
	}
	return w.Result().Status + " " + body
}

// TestRequestShapes: which request counts as what.
func TestRequestShapes(t *testing.T) {
	srv := sio.NewServer(&sio.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	newest := sio.NewServer(&sio.Options{Dialects: []string{"eio4"}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = srv.Shutdown(ctx), newest.Shutdown(ctx)
	}()
	const sid = "xxxxxxxxxxxxxxxxxxxx"
	for _, row := range []struct{ method, target, want, alone string }{ // alone: with Engine.IO 4 alone
		{"GET", "/?EIO=4&transport=polling", "eio4", "eio4"},
		{"GET", "?EIO=4&transport=polling", "eio4", "eio4"},
		{"GET", "//?EIO=4&transport=polling", "eio4", "eio4"},
		{"GET", "/anything/below?EIO=4&transport=polling", "eio4", "eio4"},
		{"GET", "/?transport=polling&EIO=4&t=x", "eio4", "eio4"},
		{"GET", "/?%45IO=4&transport=p%6flling", "eio4", "eio4"},
		{"GET", "/?EIO=4&transport=polling&b64=1", "eio4", "eio4"},
		{"GET", "/?EIO=4&transport=polling&sid=", "eio4", "eio4"},
		{"GET", "/?EIO=4&transport=polling&sid=" + sid, "session", "session"},
		{"GET", "/?EIO=4&EIO=4&transport=polling", "bad", "bad"},
		{"GET", "/?EIO=3&EIO=4&transport=polling", "bad", "off"},
		{"GET", "/?EIO=4&transport=polling&transport=websocket", "bad", "bad"},
		{"GET", "/?EIO=4&transport=polling&sid=a&sid=b", "bad", "bad"},
		{"GET", "/?EIO=4&transport=polling&x=1&x=2", "eio4", "eio4"},
		{"GET", "/?EIO=4&transport=Polling", "transport", "transport"},
		{"GET", "/?EIO=4&transport=WEBSOCKET", "transport", "transport"},
		{"GET", "/?EIO=4&Transport=polling", "transport", "transport"},
		{"GET", "/?eio=4&transport=polling", "version", "version"},
		{"GET", "/?EIO=4&transport=websocket", "bad", "bad"},
		{"GET", "/1/?EIO=4&transport=polling", "eio4", "eio4"},
		{"GET", "/1/?EIO=4&transport=x", "transport", "transport"},
		{"POST", "/?EIO=4&transport=polling", "method", "method"},
		{"HEAD", "/?EIO=4&transport=polling", "400 Bad Request ", "400 Bad Request "},
		{"OPTIONS", "/?EIO=4&transport=polling", "method", "method"},

		{"GET", "/?EIO=3&transport=polling", "eio3", "off"},
		{"GET", "/?EIO=2&transport=polling", "eio3", "off"},
		{"GET", "/?EIO=3&transport=polling&t=1", "eio3 binary", "off"},
		{"GET", "/?EIO=3&transport=polling&t=1&b64=1", "eio3", "off"},
		{"GET", "/?EIO=3&transport=polling&b64=0", "eio3", "off"},
		{"GET", "/1/?EIO=2&transport=polling&b64=true", "eio3", "off"},
		{"GET", "/1/websocket/?EIO=2&transport=websocket&sid=" + sid, "bad", "off"},
		{"GET", "/1/" + sid + "?EIO=3&transport=polling", "eio3", "off"},
		{"GET", "/?transport=polling&b64=1", "eio3", "off"},
		{"GET", "/?EIO=&transport=polling&b64=1", "eio3", "off"},
		{"GET", "/?transport=polling&sid=" + sid, "session", "off"},
		{"GET", "/?b64=1", "transport", "off"},

		{"GET", "/1", "sio1", "off, 0.9"},
		{"GET", "/1/", "sio1", "off, 0.9"},
		{"GET", "//1//", "sio1", "off, 0.9"},
		{"GET", "/1/?t=1&b64=1", "sio1", "off, 0.9"},
		{"POST", "/1/", "sio1", "off, 0.9"},
		{"HEAD", "/1/", "400 Bad Request Bad handshake method", "400 Bad Request Unsupported"},
		{"OPTIONS", "/1/", "method, 0.9", "off, 0.9"},
		{"GET", "/1/xhr-polling/", "sio1", "off, 0.9"},
		{"GET", "/1/xhr-polling//", "sio1", "off, 0.9"},
		{"GET", "/1/websocket", "sio1", "off, 0.9"},
		{"GET", "/1/xhr-polling/" + sid, "stranger, 0.9", "off, 0.9"},
		{"GET", "/1/xhr-polling/" + sid + "/", "stranger, 0.9", "off, 0.9"},
		{"GET", "/1/XHR-Polling/" + sid, "transport, 0.9", "off, 0.9"},
		{"GET", "/1/polling/" + sid, "transport, 0.9", "off, 0.9"},
		{"GET", "/1/jsonp-polling/" + sid, "transport, 0.9", "off, 0.9"},
		{"GET", "/1?disconnect", "session, 0.9", "off, 0.9"},
		{"GET", "/2/", "version, 0.9", "off, 0.9"},
		{"GET", "/01/", "version, 0.9", "off, 0.9"},

		{"GET", "/", "transport", "transport"},
		{"GET", "/socket.io.js", "transport", "transport"},
		{"GET", "/?transport=polling", "version", "version"},
		{"GET", "/?EIO=5&transport=polling", "version", "version"},
		{"GET", "/?EIO=4.0&transport=polling", "version", "version"},
		{"GET", "/?EIO=04&transport=polling&b64=1", "version", "version"},
		{"GET", "/xhr-polling/", "off, 0.9", "off, 0.9"},
	} {
		for _, s := range []struct {
			srv  *sio.Server
			name string
			want string
		}{{srv, "all", row.want}, {newest, "eio4 alone", row.alone}} {
			w := httptest.NewRecorder()
			s.srv.ServeHTTP(w, httptest.NewRequest(row.method, "http://example.com/socket.io"+row.target, nil))
			got := counts(w)
			if row.method == "HEAD" { // the recorder keeps a body that no client would see
				got, s.want = w.Result().Status, "400 Bad Request"
			}
			if !strings.HasPrefix(got, s.want) || got != s.want && !strings.Contains(got, " ") {
				t.Errorf("%s %s, %s: %s, want %s", row.method, row.target, s.name, got, s.want)
			}
		}
	}
}
