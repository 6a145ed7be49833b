// An official client with retries: sends events without waiting, each with an id, and says
// what it was answered.
import { randomUUID } from "node:crypto";
import { io } from "client-4.8";

const [url, transports, count] = process.argv.slice(2);
const socket = io(url, {
  transports: transports.split(","), reconnectionDelay: 10, reconnectionDelayMax: 20,
  auth: { client: randomUUID() }, retries: 5, ackTimeout: 400,
});
let last = 0;
const send = (event, ...args) => socket.emitWithAck(event, { once: ++last }, ...args);

const answers = await Promise.all(Array.from({ length: Number(count) }, (_, i) => send("order", i)));
console.log(JSON.stringify(answers));
process.exit(0);
