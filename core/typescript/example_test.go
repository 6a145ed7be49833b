package typescript_test

import (
	"context"
	"os"

	"github.com/siokit/siokit/core/sio"
	"github.com/siokit/siokit/core/typescript"
)

func ExampleWrite() {
	io := sio.NewServer(nil)
	io.Of("/").On("add", sio.Reply(func(_ context.Context, _ *sio.Socket, a sio.Args2[int, int]) (int, error) { return a.A + a.B, nil }))
	sio.DeclareEvent[string](io.Of("/"), "news")
	_ = typescript.Write(os.Stdout, io.Contract())
	// Output:
	// // Generated from the server's handlers. Do not edit.
	//
	// /** Binary data: an ArrayBuffer or Buffer when received. */
	// export type Binary = ArrayBuffer | ArrayBufferView;
	//
	// /** What an ack holds when the server has refused or failed. */
	// export interface ErrorAck { error: { code: string; message: string; data?: unknown } }
	//
	// /** What the server emits in /. */
	// export interface ServerToClientEvents {
	//   "news": (a1: string) => void;
	// }
	//
	// /** What clients emit in /. */
	// export interface ClientToServerEvents {
	//   "add": (a1: number, a2: number, callback: (a1: number | ErrorAck) => void) => void;
	// }
}
