package packet

// Payloads is the framing of the bodies of one session's requests.
type Payloads interface {
	// Unwrap returns the payload in a request body.
	Unwrap(body []byte) ([]byte, error)
	// DecodePayload calls yield for each unit of a payload until it returns
	// false. Units before a malformed one are yielded.
	DecodePayload(payload []byte, contentType string, yield func(Unit) bool) error
	// AppendPayload appends messages as one payload and returns its content type.
	AppendPayload(dst []byte, ms []*Message) ([]byte, string)
}
