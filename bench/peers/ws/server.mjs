// The usual WebSocket server of Node: the `ws` package, a set of sockets a path, and a loop of `send`
// over all others. Its native addon `bufferutil`, which its documentation recommends, is installed and
// so is used; compression is off (its default).

import { createServer } from "node:http";
import { WebSocket, WebSocketServer } from "ws";

const channels = new Map();
const http = createServer();
const sockets = new WebSocketServer({ server: http, perMessageDeflate: false });

sockets.on("connection", (socket, request) => {
  let members = channels.get(request.url);
  if (members === undefined) channels.set(request.url, (members = new Set()));
  members.add(socket);
  socket.on("message", (data, isBinary) => {
    for (const member of members) {
      if (member !== socket && member.readyState === WebSocket.OPEN) member.send(data, { binary: isBinary });
    }
  });
  socket.on("close", () => {
    members.delete(socket);
    if (members.size === 0) channels.delete(request.url);
  });
  socket.on("error", () => socket.terminate());
});

http.listen({ host: "127.0.0.1", port: Number(process.env.PORT ?? 0), backlog: 4096 }, () => {
  const { port } = http.address();
  console.log(JSON.stringify({ url: `ws://127.0.0.1:${port}/{channel}`, pid: process.pid }));
});
