"""A WebSocket server that echoes, and a client that tries what the protocol has (RFC 6455).

`echo.py serve PORT`; `echo.py check PORT` prints one line for each case, the same whatever is between the two.
"""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def run_server(port):
    async with serve(echo, "127.0.0.1", port, max_size=2 << 20):
        await asyncio.get_running_loop().create_future()


def url(port):
    return f"ws://127.0.0.1:{port}/"


async def sizes(websocket):
    for length in (0, 1, 125, 126, 127, 128, 4095, 4096, 65535, 65536, 65537, 1 << 20):
        for message in ("x" * length, os.urandom(length)):
            await websocket.send(message)
            assert await websocket.recv() == message, length


async def fragments(websocket):
    await websocket.send(part for part in ("a", "", "bc" * 1000, "\u00e9\u20ac\U0001f600"))
    assert await websocket.recv() == "a" + "bc" * 1000 + "\u00e9\u20ac\U0001f600"


async def pings(websocket):
    for payload in (b"", b"x", b"y" * 125):
        waiter = await websocket.ping(payload)
        await asyncio.wait_for(waiter, 10)
    await websocket.pong(b"nobody asked")
    await websocket.send("still there")
    assert await websocket.recv() == "still there"


async def many_at_once(websocket):
    for n in range(500):
        await websocket.send(str(n))
    for n in range(500):
        assert await websocket.recv() == str(n)


async def closed_with(websocket):
    try:
        await asyncio.wait_for(websocket.recv(), 10)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else "no close frame"
    return "a message"


def raw(first, data):
    """Sends a frame with this first byte, whatever the protocol says; gives what the server closes with."""

    async def case(websocket):
        length = len(data)
        if length < 126:
            head = bytes((first, 0x80 | length))
        else:
            head = bytes((first, 0xFF)) + length.to_bytes(8, "big")
        websocket.transport.write(head + bytes(4) + data)
        return await closed_with(websocket)

    return case


def closing(code):
    async def case(websocket):
        await websocket.close(code, "why")
        return websocket.close_code

    return case


CASES = {
    "sizes": sizes,
    "fragments": fragments,
    "pings": pings,
    "many at once": many_at_once,
    "close 1000": closing(1000),
    "close 1001": closing(1001),
    "close 3000": closing(3000),
    "close 4999": closing(4999),
    "invalid UTF-8": raw(0x81, b"\xff\xfe"),
    "a continuation of nothing": raw(0x80, b"x"),
    "a reserved bit": raw(0xA2, b"x"),
    "a fragmented ping": raw(0x09, b"x"),
    "a ping that is too long": raw(0x89, b"x" * 126),
    "a close frame of one byte": raw(0x88, b"x"),
    "a close frame with a code that may not be sent": raw(0x88, b"\x03\xed"),
    "a message that is too large": raw(0x82, b"x" * ((2 << 20) + 1)),
}


async def check(port):
    for compression in (None, "deflate"):
        for name, case in CASES.items():
            try:
                async with connect(url(port), compression=compression, max_size=4 << 20) as websocket:
                    extensions = [extension.name for extension in websocket.protocol.extensions]
                    result = await case(websocket)
            except Exception as error:  # whatever it is, both ways have to agree on it
                extensions, result = [], f"{type(error).__name__}: {error}"
            print(f"{name}, {extensions}: {result}")


if __name__ == "__main__":
    command, port = sys.argv[1], int(sys.argv[2])
    asyncio.run(run_server(port) if command == "serve" else check(port))
