package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os/exec"
	"strings"
	"time"
)

// serve starts an application and opens a Socket.IO session with it.
func serve(ctx context.Context, app string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, app)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		return err
	}
	err = talk(ctx, bufio.NewScanner(out))
	cancel() // ends the application
	_ = cmd.Wait()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	return nil
}

// talk waits until the application listens, and is its first client.
func talk(ctx context.Context, lines *bufio.Scanner) error {
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			return handshake(ctx, "http://"+addr)
		}
	}
	return errors.Join(errors.New("the application does not listen"), lines.Err())
}

// handshake opens a session over long polling. Where the application has sessions of its
// own, the first try is a client that has none, and must be refused.
func handshake(ctx context.Context, base string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	client := &http.Client{Jar: jar}
	const polling = "/socket.io/?EIO=4&transport=polling"
	login, _, err := get(ctx, client, base+"/login")
	if err != nil {
		return err
	}
	if login == http.StatusOK {
		status, body, err := get(ctx, &http.Client{}, base+polling)
		if err != nil {
			return err
		}
		if status == http.StatusOK {
			return fmt.Errorf("the handshake of a client without a session: %d %s", status, body)
		}
	}
	status, body, err := get(ctx, client, base+polling)
	if err != nil {
		return err
	}
	if status != http.StatusOK || !strings.HasPrefix(body, `0{"sid":"`) {
		return fmt.Errorf("the handshake: %d %s", status, body)
	}
	return nil
}

func get(ctx context.Context, client *http.Client, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), errors.Join(err, res.Body.Close())
}
