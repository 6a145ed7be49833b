// Package polling is the long-polling transport: a GET waits for messages, a POST
// brings some. Its mechanics serve every transport made of single requests, those
// with a streamed answer as well; what is their own is a transport.Form.
//
// # States
//
// A poll has one state, and one GET at most that waits for messages. The messages
// that the link has queued come before everything else: the table is about a GET
// for which there are none. "Ends" means that the link is told by Lost, which
// happens once.
//
//		state     | a GET comes      | the GET that waits | a POST  | Close           | Close(NoStatus) | Retire
//		open      | waits            | waits              | is read | lingering       | closing or ended| retired
//		held      | noop             | noop               | is read | lingering       | closing or ended| retired
//		retired   | refused          | noop               | refused | -               | closing or ended| -
//		lingering | noop and goodbye | goodbye            | refused | -               | closing or ended| retired
//		closing   | goodbye          | goodbye            | refused | -               | -               | -
//		ending    | refused          | (none waits)       | refused | -               | ended           | -
//		ended     | refused          | goodbye            | refused | -               | -               | -
//
//	  - Hold changes open to held and back. A GET that was released by Hold or Retire,
//	    or by a newer GET, gets its noop whatever happens next.
//	  - Close(NoStatus) makes closing of a state while a GET waits, and ended when none
//	    does: then Close itself tells the link. In closing the GET that waits tells it,
//	    when it has left, whatever it was answered, or if it could not be answered.
//	  - A GET that takes the goodbye makes ending of lingering and closing, and ended
//	    when it has left. Without a goodbye its answer is status 503.
//	  - With PollOptions.Newest a newer GET releases the one that waits, POSTs wait for
//	    the POST before them, and in retired those that have waited are still read, one
//	    after the other; a client that leaves may come back, and the first GET of a
//	    lingering session gets the goodbye alone. Without Newest a second GET, and a
//	    client that leaves, end the session at once.
//	  - An answer that fails ends the session.
//
// # Goroutines and locks
//
// A poll starts no goroutine. Get and Post run on the goroutine of their request; a
// stream may go on, on a goroutine of the host, when Get has returned. Everything
// else may be called by any goroutine. Retire and Await wait, Retire until no request
// is in progress and no POST waits: nobody calls Retire from inside of a request of the
// same session.
//
// The one lock, poll.mu, is taken last: nothing of the link and nothing of the
// exchange is called with it.
package polling
