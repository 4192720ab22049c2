// Socket.IO 4 on Node: a room a channel, joined by the event `join`; `say` goes to the others of the
// room as the event `msg`. What its page on performance recommends is done: WebSocket alone, the native
// addon `bufferutil` for `ws` (installed, so used), and each connection's first request let go of.
// `utf-8-validate` is left out: Node has had that built in since version 18.

import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

io.engine.on("connection", (connection) => {
  connection.request = null;
});

io.on("connection", (socket) => {
  socket.on("join", (channel, joined) => {
    socket.join(channel);
    if (typeof joined === "function") joined();
  });
  socket.on("say", (channel, text) => {
    socket.to(channel).emit("msg", text);
  });
});

http.listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 0), backlog: 4096 }, () => {
  const { port } = http.address();
  console.log(JSON.stringify({ url: `ws://127.0.0.1:${port}`, pid: process.pid }));
});
