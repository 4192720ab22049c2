// Bun's WebSocket publish as its documentation shows it: each socket subscribes to the topic that its
// path names, and what it says is published to the others of that topic. Compression is off (Bun's
// default), and so is the time-out for idle sockets, which some runs keep silent for minutes.

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT ?? 0),
  fetch(request, server) {
    const channel = new URL(request.url).pathname.slice(1);
    if (server.upgrade(request, { data: { channel } })) return undefined;
    return new Response("a WebSocket is expected here", { status: 426 });
  },
  websocket: {
    idleTimeout: 0,
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe(socket.data.channel);
    },
    message(socket, text) {
      socket.publish(socket.data.channel, text);
    },
  },
});

console.log(JSON.stringify({ url: `ws://127.0.0.1:${server.port}/{channel}`, pid: process.pid }));
