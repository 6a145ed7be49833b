package sessionbridge

import "testing"

// TestSameVisitor is the table of what tells visitors apart.
func TestSameVisitor(t *testing.T) {
	type v = Values
	for _, row := range []struct {
		what     string
		user     string
		was, now v
		same     bool
	}{
		{"saved again", "", v{"user": "ann", "n": 1}, v{"user": "ann", "n": 1}, true},
		{"something new", "", v{"user": "ann"}, v{"user": "ann", "n": 1}, true},
		{"another user", "", v{"user": "ann"}, v{"user": "bob"}, false},
		{"logged out", "", v{"user": "ann", "n": 1}, v{"n": 1}, false},
		{"an old value is another", "", v{"user": "ann", "n": 1}, v{"user": "ann", "n": 2}, false},
		{"of another type", "", v{"id": 1}, v{"id": "1"}, false},
		{"lists", "", v{"roles": []string{"a", "b"}}, v{"roles": []string{"a", "b"}}, true},
		{"empty and empty", "", v{}, v{}, true},
		{"empty and logged in", "", v{}, v{"user": "bob"}, false},
		{"nothing and nothing", "", nil, nil, true},

		{"with a key: saved again", "user", v{"user": "ann", "n": 1}, v{"user": "ann", "n": 1}, true},
		{"with a key: something else", "user", v{"user": "ann", "n": 1}, v{"user": "ann", "n": 2}, true},
		{"with a key: something gone", "user", v{"user": "ann", "n": 1}, v{"user": "ann"}, true},
		{"with a key: another user", "user", v{"user": "ann", "n": 1}, v{"user": "bob", "n": 1}, false},
		{"with a key: logged out", "user", v{"user": "ann", "n": 1}, v{"n": 1}, false},
		{"with a key: logged in", "user", v{"n": 1}, v{"user": "ann", "n": 1}, false},
		{"with a key: nobody, the same", "user", v{"n": 1}, v{"n": 1, "m": 2}, true},
		{"with a key: nobody, another", "user", v{"n": 1}, v{"n": 2}, false},
		{"with a key: nobody, empty", "user", v{}, v{"n": 2}, false},
	} {
		if got := (&visitor{user: row.user}).same(row.was, row.now); got != row.same {
			t.Errorf("%s: %t", row.what, got)
		}
	}
}
