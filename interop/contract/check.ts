// Uses the written contract with the official client's generics. Compiled, not
// run: lines that must not compile say so, and fail if they do.
import { io, type Socket } from "client-4.8";
import type {
  ClientToServerEvents, ErrorAck, Message, ProjectIdClientToServerEvents, ProjectIdServerToClientEvents, ServerToClientEvents,
} from "../../core/typescript/testdata/contract.ts";

const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io("http://127.0.0.1:3000");

socket.on("said", m => {
  const room: string = m.room;
  const text: string | null | undefined = m.text;
  const replies: Message[] = m.replies;
  console.log(room, text, replies, m.Point.X + 1);
  // @ts-expect-error there is no such field
  console.log(m.nothing);
});
socket.on("tick", () => {});
socket.on("sure?", (question, callback) => callback(question.length > 0));
// @ts-expect-error the server does not emit it
socket.on("unknown", () => {});
// @ts-expect-error the answer is a boolean
socket.on("sure?", (question, callback) => callback(question));

declare const message: Message;
socket.emit("say", message, answer => {
  const failed: ErrorAck | undefined = typeof answer === "string" ? undefined : answer;
  console.log(failed?.error.code);
});
socket.emitWithAck("say", message).then((answer: string | ErrorAck) => console.log(answer));
socket.emit("move", 1, 2);
socket.emit("save", new Uint8Array(3), failed => console.log(failed?.error.message));
socket.emit("raw event", 1, "two", { three: 3 });
// @ts-expect-error two numbers
socket.emit("move", 1);
// @ts-expect-error no strings
socket.emit("move", "1", "2");
// @ts-expect-error not an event
socket.emit("nothing");

const project: Socket<ProjectIdServerToClientEvents, ProjectIdClientToServerEvents> = io("/project/7");
project.emit("say", { Other: true });
// @ts-expect-error the message of the other namespace
project.emit("say", message);
