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


def frame(first, data=b"", masked=True):
    """A frame with this first byte, whatever the protocol says."""
    mask = b"\x37\xfa\x21\x3d" if masked else b""
    length, bit = len(data), 0x80 if masked else 0
    if length < 126:
        head = bytes((first, bit | length))
    elif length < 1 << 16:
        head = bytes((first, bit | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, bit | 127)) + length.to_bytes(8, "big")
    if masked:
        data = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
    return head + mask + data


async def heard(websocket):
    """What the server says until it has said "end", or closes: lengths of messages, and the code."""
    messages = []
    while True:
        try:
            message = await asyncio.wait_for(websocket.recv(), 20)
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else "no close frame"
            return f"{messages}, closed: {code}"
        if message == "end":
            return f"{messages}"
        messages.append(message if len(message) < 20 else len(message))


def raw(*frames, pieces=None):
    """Sends these bytes, at once or in pieces of a size, and a message behind them."""

    async def case(websocket):
        data = b"".join(frames) + frame(0x81, b"end")
        for at in range(0, len(data), pieces or len(data)):
            try:
                websocket.transport.write(data[at : at + (pieces or len(data))])
            except RuntimeError:  # the server has closed already
                break
            if pieces:
                await asyncio.sleep(0)
        return await heard(websocket)

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
    "invalid UTF-8": raw(frame(0x81, b"\xff\xfe")),
    "a continuation of nothing": raw(frame(0x80, b"x")),
    "an end of nothing": raw(frame(0x00, b"x"), frame(0x80, b"y")),
    "a fragmented ping": raw(frame(0x09, b"x")),
    "a fragmented close": raw(frame(0x08, b"\x03\xe8")),
    "a ping that is too long": raw(frame(0x89, b"x" * 126)),
    "a pong that is too long": raw(frame(0x8A, b"x" * 126)),
    "a frame without a mask": raw(frame(0x81, b"x", masked=False)),
    "a message that is too large": raw(frame(0x82, b"x" * ((2 << 20) + 1))),
    "a message of many parts that is too large": raw(frame(0x02, b"x" * (1 << 20)), frame(0x00, b"x" * (1 << 20)), frame(0x80, b"x")),
    "a new message within another": raw(frame(0x01, b"a"), frame(0x81, b"b")),
    "parts with pings between": raw(frame(0x01, b"a"), frame(0x89, b"p"), frame(0x00, b"b"), frame(0x8A, b"q"), frame(0x80, b"c")),
    "empty parts": raw(frame(0x01), frame(0x00), frame(0x80)),
    "ten pings at once": raw(*(frame(0x89, b"ping %d" % n) for n in range(10))),
    "a close frame of one byte": raw(frame(0x88, b"x")),
    "a close frame without a code": raw(frame(0x88)),
    "a close frame with a long reason": raw(frame(0x88, b"\x03\xe8" + b"r" * 123)),
    "a close frame that is too long": raw(frame(0x88, b"\x03\xe8" + b"r" * 124)),
    "a close frame with a reason that is no UTF-8": raw(frame(0x88, b"\x03\xe8\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80")),
    "two close frames": raw(frame(0x88, b"\x03\xe8"), frame(0x88, b"\x03\xe9")),
    "a ping behind a close frame": raw(frame(0x88, b"\x03\xe8"), frame(0x89, b"late")),
}
for bits in range(1, 8):
    for opcode in (1, 2, 8, 9):
        CASES[f"reserved bits {bits}, opcode {opcode}"] = raw(frame(0x80 | bits << 4 | opcode, b"x"))
for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    CASES[f"reserved opcode {opcode}"] = raw(frame(0x80 | opcode, b"x"))
    CASES[f"reserved opcode {opcode} behind a message"] = raw(frame(0x81, b"first"), frame(0x80 | opcode))
for code in (0, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1015, 1016, 1100, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535):
    CASES[f"close code {code}"] = raw(frame(0x88, code.to_bytes(2, "big") + b"why"))
# Valid ones first, then what is cut off, overlong, beyond the range, or a surrogate.
for number, text in enumerate((
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", b"\x00", b"\x7f", b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbb\xbfbom",
    b"\xce", b"\xe1\xbd", b"\xf0\x90\x80", b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xed\xa0\x80", b"\xed\xbf\xbf",
)):
    CASES[f"text {number}"] = raw(frame(0x81, text))
    CASES[f"text {number} in parts"] = raw(*(frame(0x01 if at == 0 else 0x00, text[at : at + 1]) for at in range(len(text))), frame(0x80))
    CASES[f"text {number} byte by byte"] = raw(frame(0x81, text), pieces=1)
for length in (0, 1, 125, 126, 127, 65535, 65536):
    for size in (1, 997, 1024):
        if length // size < 5000:
            CASES[f"{length} bytes in pieces of {size}"] = raw(frame(0x82, b"x" * length), pieces=size)
for parts in (2, 64, 1000):
    CASES[f"a message of {parts} parts"] = raw(frame(0x02, b"x"), *(frame(0x00, b"y" * 100) for _ in range(parts)), frame(0x80))


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
