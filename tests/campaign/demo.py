"""The demo under load: many clients at once, slow, broken and rude ones.

Each gets an answer or a clear status, and the server is there afterwards.
"""

import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import time

from tests.campaign.children import mains, side_by_side, start
from tests.campaign.images import damaged, sound_images

CLIENTS = 50
PATIENCE = 120.0
LIMIT = 1_000_000


def attack(root, ground, count, seed, say=print) -> collections.Counter:
    """Sends requests to a demo, many at a time.

    Args:
        root: An empty folder.
        ground: Whose run is shown.
        count: How many requests.
        seed: Of what they are.
        say: Told of each failure, in a line.

    Returns:
        {what happened: how often}.
    """
    root = pathlib.Path(root)
    argv = [ground.run, "--port", "0", "--max-megabytes", LIMIT / 1e6]
    server = start(mains()["demo"], argv, root / "demo.log")
    try:
        port = _port(server)
        # Clients are threads, which the process that forks must not have.
        counts = side_by_side([lambda: _all(port, count, seed, say)], root)
        alive = server.alive
    finally:
        os.kill(server.pid, signal.SIGTERM)
        end = server.end()
    if not alive or end.code or "Traceback" in end.printed:
        counts["the server ended badly"] += 1
        say(f"demo, seed {seed}: exit code {end.code}: {end.printed[-500:]}")
    return counts


def _port(server) -> int:
    until = time.monotonic() + PATIENCE
    while server.alive and time.monotonic() < until:
        found = re.search(r"serving on http://[^:]+:(\d+)/", server.printed())
        if found:
            return int(found[1])
        time.sleep(0.1)
    raise RuntimeError(server.printed())


def _all(port, count, seed, say):
    counts = collections.Counter()

    def one(number):
        draw = random.Random(f"{seed} {number}")
        kind = draw.choice(list(KINDS))
        return number, kind, KINDS[kind](port, draw)

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for number, kind, (wanted, found) in pool.map(one, range(count)):
            counts["tried"] += 1
            if found in wanted:
                counts[f"{kind}: answered {found}"] += 1
            else:
                counts[f"{kind}: {found}"] += 1
                say(f"request {number}, seed {seed}: {kind}: {found}")
    status = _ask(port, "GET", "/model")
    counts[f"afterwards: answered {status}"] += 1
    return counts


def _ask(port, method, path, body=None, headers=()):
    """Returns the status, or what happened instead."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body, dict(headers))
        reply = connection.getresponse()
        contents = reply.read()
        if path == "/predict":
            json.loads(contents)
        return reply.status
    except (OSError, http.client.HTTPException, ValueError) as error:
        return type(error).__name__
    finally:
        connection.close()


def _raw(port, parts, pause=0.0, listens=True):
    """Sends bytes as they are; returns the status, or what happened."""
    address = ("127.0.0.1", port)
    try:
        with socket.create_connection(address, timeout=PATIENCE) as client:
            for part in parts:
                client.sendall(part)
                time.sleep(pause)
            if not listens:
                return "nothing, it went away"
            client.shutdown(socket.SHUT_WR)
            reply = b"".join(iter(lambda: client.recv(1 << 16), b""))
    except OSError as error:
        return type(error).__name__
    found = re.match(rb"HTTP/1\.1 (\d+) ", reply)
    if not found and reply.startswith(b'{"error": '):
        # Of what names no version of HTTP, version 0.9 is spoken: no header.
        return 400
    return int(found[1]) if found else "no status"


def _picture(port, draw):
    _, contents = draw.choice(sound_images())
    return {200}, _ask(port, "POST", "/predict", contents)


def _damaged(port, draw):
    _, contents = draw.choice(sound_images())
    body = damaged(contents, draw)
    return {200, 400, 413, 415}, _ask(port, "POST", "/predict", body)


def _head(length):
    return (
        f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def _cut_short(port, draw):
    _, contents = draw.choice(sound_images())
    part = contents[: draw.randrange(len(contents))]
    return {400}, _raw(port, [_head(len(contents)), part])


def _huge(port, draw):
    length = LIMIT + 10 ** draw.randrange(1, 20)
    return {413}, _raw(port, [_head(length), bytes(draw.randrange(1000))])


def _slow(port, draw):
    _, contents = draw.choice(sound_images())
    step = max(1, len(contents) // 8)
    parts = [contents[i : i + step] for i in range(0, len(contents), step)]
    head = _head(len(contents))
    return {200}, _raw(port, [head[:20], head[20:], *parts], pause=0.1)


def _gone(port, draw):
    parts = [_head(100), b"x"][: draw.randrange(3)]
    found = _raw(port, parts, listens=False)
    return {found}, found


def _garbage(port, draw):
    line = draw.randbytes(draw.randrange(1, 200)).replace(b"\n", b"\r")
    return {400, 414, 501, 505}, _raw(port, [b"X" + line + b"\r\n\r\n"])


def _other(port, draw):
    path = "/" + draw.choice(
        ["", "model", "x", "../etc/passwd", "%2e%2e/x", "predict", "?a=b"]
    )
    method = draw.choice(["GET", "HEAD", "PUT", "DELETE", "BREW", "OPTIONS"])
    headers = draw.choice(
        [{}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}]
    )
    found = _raw(
        port,
        [
            f"{method} {path} HTTP/1.1\r\n".encode(),
            *(
                f"{name}: {value}\r\n".encode()
                for name, value in {"Host": "127.0.0.1", **headers}.items()
            ),
            b"\r\n",
        ],
    )
    return {200, 403, 404, 405, 421, 501}, found


KINDS = {
    "picture": _picture,
    "damaged picture": _damaged,
    "body cut short": _cut_short,
    "huge body": _huge,
    "slow client": _slow,
    "client that goes away": _gone,
    "no HTTP": _garbage,
    "other requests": _other,
}
