# Python's websockets as a client that is told what to do: a JSON object a line on standard input, and what
# happens, an object a line, on standard output. `as` says which connection is meant.

import asyncio
import json
import sys

# Debian 12 has no other API of it; this one says when a ping comes.
from websockets.legacy.client import WebSocketClientProtocol, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatusCode


def tell(name, **what):
    print(json.dumps({"as": name, **what}), flush=True)


class Connection(WebSocketClientProtocol):
    name = None

    async def pong(self, data=b""):
        # It has been pinged, and answers.
        await super().pong(data)
        if self.name is not None:
            tell(self.name, pinged=True)


async def listen(name, socket):
    try:
        while True:
            tell(name, text=await socket.recv())
    except ConnectionClosed:
        tell(name, closed=socket.close_code, reason=socket.close_reason)


async def open_one(sockets, order):
    name = order["as"]
    try:
        socket = await connect(
            order["url"],
            create_protocol=Connection,
            subprotocols=order.get("protocols"),
            origin=order.get("origin"),
        )
    except InvalidStatusCode as error:
        return tell(name, failed=error.status_code)
    except InvalidHandshake as error:
        return tell(name, failed=str(error))
    socket.name = name
    sockets[name] = socket
    tell(name, opened=socket.subprotocol or "")
    await listen(name, socket)


async def ping(name, socket, payload):
    # The pong that has this payload.
    await (await socket.ping(payload))
    tell(name, ponged=payload)


async def main():
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    sockets, tasks = {}, set()

    def begin(work):
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    while line := await lines.readline():
        order = json.loads(line)
        name, socket = order["as"], sockets.get(order["as"])
        if order["do"] == "open":
            begin(open_one(sockets, order))
        elif order["do"] == "say":
            await socket.send(order["text"])
        elif order["do"] == "say in pieces":
            await socket.send(iter(order["pieces"]))
        elif order["do"] == "say binary":
            await socket.send(order["text"].encode())
        elif order["do"] == "ping":
            begin(ping(name, socket, order["payload"]))
        elif order["do"] == "close":
            begin(socket.close(order["code"], order["reason"]))


asyncio.run(main())
