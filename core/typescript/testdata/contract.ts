// Generated from the server's handlers. Do not edit.

/** Binary data: an ArrayBuffer or Buffer when received. */
export type Binary = ArrayBuffer | ArrayBufferView;

/** What an ack holds when the server has refused or failed. */
export interface ErrorAck { error: { code: string; message: string; data?: unknown } }

/** What the server emits in /. */
export interface ServerToClientEvents {
  "said": (a1: Message) => void;
  "sure?": (a1: string, callback: (a1: boolean) => void) => void;
  "tick": () => void;
}

/** What clients emit in /. */
export interface ClientToServerEvents {
  "move": (a1: number, a2: number) => void;
  "raw event": (...args: any[]) => void;
  "save": (a1: Binary, callback: (failed?: ErrorAck) => void) => void;
  "say": (a1: Message, callback: (a1: string | ErrorAck) => void) => void;
}

/** What the server emits in /project/{id}. */
export interface ProjectIdServerToClientEvents {
}

/** What clients emit in /project/{id}. */
export interface ProjectIdClientToServerEvents {
  "say": (a1: Message2) => void;
}

export interface Message {
  "id": string;
  "room": string;
  "text"?: string | null;
  "at"?: string;
  "from": string;
  "files": Record<string, Binary>;
  "replies": Array<Message>;
  "Point": { "X": number; "Y": number };
  "raw": unknown;
  "number": unknown;
  "anything": unknown;
  "inner": Base;
  "flags": Array<boolean>;
  "-": string;
}

export interface Message2 {
  "Other": boolean;
}

export interface Base {
  "id": string;
}
