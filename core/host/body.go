package host

import (
	"errors"
	"io"
	"os"
	"time"
)

// bodyTimeout bounds how long a request body may take.
const bodyTimeout = 10 * time.Second

// firstRead is how much memory a body gets before any of it has come.
const firstRead = 4 << 10

// ReadBody reads the body of a request, for Exchange.Body of a host that reads it from
// the connection. announced is the Content-Length, -1 when there is none. A body over
// limit bytes is ErrTooLarge. deadline sets the read deadline of the connection; when
// it works, a body that takes longer than 10 s is ErrTimeout.
//
// After an error the deadline stays. Hosts read the rest of a refused body before they
// use the connection again, and a slow client must not keep them busy there either.
//
// No memory is reserved for the announced length. The memory grows with what has
// arrived, and is at most twice as much, so that a client that sends nothing holds
// nothing.
func ReadBody(r io.Reader, announced, limit int64, deadline func(time.Time) error) ([]byte, error) {
	timed := deadline(time.Now().Add(bodyTimeout)) == nil
	if announced > limit {
		return nil, ErrTooLarge
	}
	most := limit + 1
	if announced >= 0 {
		most = min(most, announced+1) // the end is seen without growing once more
	}
	body := make([]byte, 0, min(most, firstRead))
	for {
		if len(body) == cap(body) {
			size := 2 * int64(cap(body))
			if int64(cap(body)) < most {
				size = min(size, most)
			}
			body = append(make([]byte, 0, size), body...)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, ErrTimeout
		case int64(len(body)) > limit:
			return nil, ErrTooLarge
		case err == io.EOF:
			if timed {
				_ = deadline(time.Time{})
			}
			return body, nil
		case err != nil:
			return nil, err
		}
	}
}
