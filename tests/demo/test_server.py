"""The web server: what it answers, and all that it refuses."""

import contextlib
import http.client
import json
import re
import socket
import threading

import pytest

from dmg_tf.demo.handler import _FILES
from dmg_tf.demo.picture import BadPicture
from dmg_tf.demo.samples import Sample
from dmg_tf.demo.server import DemoServer, is_loopback
from dmg_tf.errors import UserError

LIMIT = 1000


class EchoPredictor:
    """Says what it was given, instead of a model."""

    def describe(self):
        return {"method": "echo"}

    def predict(self, contents, maps=False):
        if maps:
            return {"maps": len(contents)}
        if contents == b"bad":
            raise BadPicture(415, "no ünïcode picture")
        if contents == b"broken":
            raise RuntimeError("a mistake in the code")
        return {"size": len(contents), "first": contents[:1].decode()}


@contextlib.contextmanager
def running(host="127.0.0.1"):
    with DemoServer(host, 0, LIMIT) as server:
        server.predictor = EchoPredictor()
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def server():
    with running() as server:
        yield server


def ask(server, method, path, body=None, headers=()):
    """Returns (status, headers, body) as a client sees them."""
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.putrequest(method, path, skip_host="Host" in dict(headers))
        headers = dict(headers)
        if body is not None and not headers.keys() & {"Transfer-Encoding"}:
            headers.setdefault("Content-Length", len(body))
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()


def raw(server, text):
    """Sends bytes as they are; returns all that comes back."""
    address = server.server_address[:2]
    with socket.create_connection(address, timeout=10) as client:
        client.sendall(text)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b"")).decode()


def test_the_page(server):
    for route, (_, kind) in _FILES.items():
        status, headers, body = ask(server, "GET", route)
        assert status == 200 and headers["Content-Type"] == kind
        assert len(body) == int(headers["Content-Length"]) > 100
        assert headers["Content-Security-Policy"].startswith(
            "default-src 'none'; script-src 'self'; style-src 'self'"
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        status, headers, nothing = ask(server, "HEAD", route)
        assert status == 200 and nothing == b""
        assert int(headers["Content-Length"]) == len(body)
    assert ask(server, "GET", "/?from=mail")[0] == 200


def test_the_page_asks_nothing_of_others(server):
    for route in _FILES:
        text = ask(server, "GET", route)[2].decode()
        text = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.search(r"https?:|//[a-z]+\.[a-z]|innerHTML", text), route


def test_the_model_and_a_prediction(server):
    status, _, body = ask(server, "GET", "/model")
    assert status == 200
    found = json.loads(body)
    assert found == {"method": "echo", "max_bytes": LIMIT, "samples": []}
    status, headers, body = ask(server, "POST", "/predict", b"x" * LIMIT)
    assert status == 200
    assert headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(body) == {"size": LIMIT, "first": "x"}


def test_maps_come_when_asked_for(server):
    for query, key in (("?maps=1", "maps"), ("?maps=0", "size"), ("?", "size")):
        body = ask(server, "POST", f"/predict{query}", b"xy")[2]
        assert json.loads(body)[key] == 2


def test_health(server):
    status, _, body = ask(server, "GET", "/health")
    assert status == 200 and json.loads(body) == {"status": "ok"}
    assert ask(server, "HEAD", "/health")[0] == 200


def test_samples(server, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"a picture")
    try:
        server.offer([Sample(str(path), "image/png", "<fish>, sketch")])
        found = json.loads(ask(server, "GET", "/model")[2])["samples"]
        assert found == [{"href": "/samples/0", "title": "<fish>, sketch"}]
        status, headers, body = ask(server, "GET", "/samples/0")
        assert (status, body) == (200, b"a picture")
        assert headers["Content-Type"] == "image/png"
        assert headers["X-Content-Type-Options"] == "nosniff"
        path.unlink()
        assert ask(server, "GET", "/samples/0")[0] == 404
        # Nothing but what is offered has an address.
        for place in ("/samples/1", "/samples/", "/samples/../a.png"):
            assert ask(server, "GET", place)[0] == 404
    finally:
        server.offer([])


def test_one_connection_serves_many_requests(server):
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        sockets = set()
        for body in (b"a", b"bad", b"c" * 10):
            connection.request("POST", "/predict", body)
            found = json.loads(connection.getresponse().read())
            sockets.add(connection.sock.getsockname())
            if body != b"bad":
                assert found["size"] == len(body)
        assert len(sockets) == 1


@pytest.mark.parametrize(
    "method, path, body, headers, status, message",
    [
        ("POST", "/predict", b"bad", {}, 415, "no ünïcode picture"),
        ("POST", "/predict", b"x" * (LIMIT + 1), {}, 413, "at most 0.001 MB"),
        ("POST", "/predict", b"", {"Content-Length": "9" * 5000}, 413, "large"),
        ("POST", "/predict", None, {}, 411, "Content-Length is needed"),
        ("POST", "/predict", b"", {"Content-Length": "-1"}, 400, "no number"),
        ("POST", "/predict", b"", {"Content-Length": "+1"}, 400, "no number"),
        ("POST", "/predict", b"", {"Content-Length": "1_0"}, 400, "no number"),
        (
            "POST",
            "/predict",
            b"1\r\nx\r\n0\r\n\r\n",
            {"Transfer-Encoding": "chunked"},
            411,
            "Content-Length is needed",
        ),
        ("GET", "/predict", None, {}, 405, "only POST here"),
        ("POST", "/", b"x", {}, 405, "only GET, HEAD here"),
        ("PUT", "/predict", b"x", {}, 405, "only POST here"),
        ("DELETE", "/style.css", None, {}, 405, "only GET, HEAD here"),
        ("BREW", "/", None, {}, 501, "Unsupported method"),
        ("GET", "/index.html", None, {}, 404, "there is nothing here"),
        ("GET", "/../server.py", None, {}, 404, "nothing"),
        ("GET", "/%2e%2e/server.py", None, {}, 404, "nothing"),
        ("GET", "/page/../style.css", None, {}, 404, "nothing"),
        ("GET", "//etc/passwd", None, {}, 404, "nothing"),
        ("GET", "/style.css%00", None, {}, 404, "nothing"),
        ("GET", "http://127.0.0.1/etc/passwd", None, {}, 404, "nothing"),
        ("GET", "/" + "x" * 70_000, None, {}, 414, "too long"),
        ("GET", "/", None, {"Host": "evil.example"}, 421, "is not evil.exa"),
        ("GET", "/", None, {"Host": "127.0.0.1.evil.example"}, 421, "not"),
        ("GET", "/", None, {"Host": "[::1"}, 421, "not"),
        (
            "POST",
            "/predict",
            b"x",
            {"Origin": "http://evil.example"},
            403,
            "from other pages",
        ),
        ("POST", "/predict", b"x", {"Origin": "null"}, 403, "from other pages"),
    ],
)
def test_what_is_refused(server, method, path, body, headers, status, message):
    found = ask(server, method, path, body, headers)
    assert found[0] == status
    error = json.loads(found[2])["error"]
    assert message in error and "\n" not in error
    if status == 405:
        assert found[1]["Allow"] in error
    assert "default-src 'none'" in found[1]["Content-Security-Policy"]
    # It goes on serving.
    assert ask(server, "GET", "/model")[0] == 200


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost:80"])
def test_names_of_this_machine_are_known(server, name):
    headers = {"Host": name, "Origin": f"http://{name}"}
    assert ask(server, "POST", "/predict", b"x", headers)[0] == 200


def test_a_large_file_is_refused_before_it_is_sent(server):
    head = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"
    )
    found = raw(server, head)
    assert found.startswith("HTTP/1.1 413 ") and "100 Continue" not in found
    head = head.replace(b"5000000", b"3")
    found = raw(server, head + b"xyz")
    assert found.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")


def test_a_client_that_sends_all_the_same_sees_the_answer(server):
    status, _, body = ask(server, "POST", "/predict", b"x" * 20_000_000)
    assert status == 413 and b"too large" in body


def test_a_body_that_ends_early(server):
    found = raw(
        server,
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 10\r\n\r\nshort",
    )
    assert found.startswith("HTTP/1.1 400 ") and "ended early" in found


def test_a_second_request_can_not_hide_in_a_body(server):
    hidden = b"GET /model HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for method in (b"GET", b"PUT", b"HEAD"):
        head = b" / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        found = raw(server, method + head % len(hidden) + hidden)
        assert found.count("HTTP/1.1 ") == 1, method


def test_a_mistake_in_the_code_is_not_told_to_strangers(server, capfd):
    status, _, body = ask(server, "POST", "/predict", b"broken")
    assert status == 500 and b"a mistake in the code" not in body
    for _ in range(100):  # the thread that says so comes after the answer
        if "RuntimeError: a mistake" in (text := capfd.readouterr().err):
            break
        threading.Event().wait(0.02)
    assert "RuntimeError: a mistake in the code" in text


def test_other_machines_may_use_any_name():
    with running("0.0.0.0") as server:
        assert ask(server, "GET", "/", None, {"Host": "box.lan"})[0] == 200


def test_addresses():
    assert is_loopback("127.0.0.1") and is_loopback("::1")
    assert is_loopback("localhost") and is_loopback("127.9.9.9")
    assert not is_loopback("0.0.0.0") and not is_loopback("box.lan")
    with DemoServer("127.0.0.1", 0, 1) as taken:
        port = taken.server_address[1]
        assert port > 0 and taken.url == f"http://127.0.0.1:{port}/"
        with pytest.raises(UserError, match=f"port {port} of .* is taken"):
            DemoServer("127.0.0.1", port, 1)
    with pytest.raises(UserError, match="there is no host 'no.invalid'"):
        DemoServer("no.invalid", 0, 1)
    with pytest.raises(UserError, match="cannot serve on 192.0.2.1"):
        DemoServer("192.0.2.1", 0, 1)
