package sio

// Size is what the arguments take in memory, in bytes: their JSON, all attachments of
// their event (also those inside of other values), and 24 bytes for each argument and
// attachment.
func (a Args) Size() (n int) {
	for _, r := range a.raw {
		n += 24 + len(r)
	}
	for _, b := range a.attachments {
		n += 24 + cap(b)
	}
	return n
}
