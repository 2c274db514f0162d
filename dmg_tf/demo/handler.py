"""What the web server answers: a page, and what the model says of a picture.

The routes are fixed; nothing a request says becomes the name of a file. What is
refused is refused in one line of JSON, `{"error": ...}`.
"""

import contextlib
import http.server
import json
import pathlib
import socket
import time

from dmg_tf.demo.picture import BadPicture

_PAGE = pathlib.Path(__file__).parent / "page"
# route: (file, content type)
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/script.js": ("script.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    # The page's own files, and pictures that it shows from its memory.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; "
    "style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
# Seconds that a client may be silent for, and that one whose file is refused
# may go on sending before it is cut off.
_PATIENCE = 30.0
_LINGER = 2.0
# Seconds in which all of a request must have come, however it trickles in.
_LONGEST = 120.0


class DemoHandler(http.server.BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE

    def handle_one_request(self):
        """Answers a request, which has to come within some time."""
        self.server.deadlines[self.connection] = time.monotonic() + _LONGEST
        super().handle_one_request()

    def do_GET(self):  # noqa: N802
        """Sends a file of the page, what the model is, or a sample."""
        # A body is of no use here, and would be read as the next request.
        self.close_connection |= "Content-Length" in self.headers
        route = self._checked_route()
        if route in _FILES:
            name, kind = _FILES[route]
            self._send(200, (_PAGE / name).read_bytes(), kind)
        elif route == "/model":
            samples = self.server.samples
            self._send_json(
                200,
                {
                    **self.server.predictor.describe(),
                    "max_bytes": self.server.max_bytes,
                    "samples": [
                        {"href": href, "title": sample.title}
                        for href, sample in samples.items()
                    ],
                },
            )
        elif route == "/health":
            # It serves only once the model is loaded.
            self._send_json(200, {"status": "ok"})
        elif route in self.server.samples:
            self._send_sample(self.server.samples[route])
        elif route:
            self._refuse_method("POST")

    do_HEAD = do_GET  # noqa: N815

    def _send_sample(self, sample):
        try:
            contents = pathlib.Path(sample.path).read_bytes()
        except OSError:
            self.send_error(404, "the picture is not there any more")
        else:
            self._send(200, contents, sample.kind)

    def do_POST(self):  # noqa: N802
        """Predicts the picture in the body."""
        route = self._checked_route()
        if route is None:
            return
        if route != "/predict":
            self._refuse_method("GET, HEAD")
            return
        size = self._checked_size()
        if size is None:
            return
        contents = self.rfile.read(size)
        if len(contents) < size:
            self.send_error(400, "the body ended early")
            return
        asked = {"maps": True} if "maps=1" in self._query() else {}
        # How long others keep the model busy is not the client's doing.
        self.server.deadlines.pop(self.connection, None)
        try:
            answer = self.server.predictor.predict(contents, **asked)
        except BadPicture as error:
            self._send_json(error.status, {"error": str(error)})
        except Exception:
            self.send_error(500, "the server made a mistake; its log has more")
            raise
        else:
            self._send_json(200, answer)

    def _refuse_other(self):
        if route := self._checked_route():
            self._refuse_method("POST" if route == "/predict" else "GET, HEAD")

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _refuse_other  # noqa: N815
    do_TRACE = do_CONNECT = _refuse_other  # noqa: N815

    def handle_expect_100(self):
        """Refuses before the client starts to send what it announces."""
        if self.command == "POST" and self._checked_size() is None:
            return False
        return super().handle_expect_100()

    def _checked_route(self) -> str | None:
        """Returns the route that is asked for; None if it was refused."""
        host = self.headers.get("Host")
        if not self.server.knows_host(host):
            self.send_error(421, f"this server is not {host}")
            return None
        origin = self.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != host:
            self.send_error(403, "requests from other pages are refused")
            return None
        route = self.path.partition("?")[0]
        known = (*_FILES, *self.server.samples, "/model", "/health", "/predict")
        if route in known:
            return route
        self.send_error(404, "there is nothing here")
        return None

    def _query(self) -> list[str]:
        return self.path.partition("?")[2].split("&")

    def _checked_size(self) -> int | None:
        """Returns the body's size; None if it was refused, unread."""
        sizes = self.headers.get_all("Content-Length", [])
        if "Transfer-Encoding" in self.headers or not sizes:
            self.send_error(411, "a Content-Length is needed")
        elif len(sizes) > 1 or not (sizes[0].isascii() and sizes[0].isdigit()):
            self.send_error(400, "the Content-Length is no number")
        elif len(sizes[0]) > 15 or int(sizes[0]) > self.server.max_bytes:
            self.send_error(
                413,
                f"the file is too large; at most "
                f"{self.server.max_bytes / 1e6:g} MB are taken",
            )
        else:
            return int(sizes[0])
        return None

    def _refuse_method(self, allowed):
        self.send_error(405, f"only {allowed} here", headers={"Allow": allowed})

    def send_error(self, code, message=None, explain=None, headers=None):
        """Sends one line and ends the connection, its body being unread."""
        self.close_connection = True
        body = {"error": message or self.responses[code][0].lower()}
        self._send_json(code, body, {"Connection": "close", **(headers or {})})
        self._linger()

    def _linger(self):
        """Gives a client that is still sending the time to see the answer.

        Closing at once would reset the connection, and it would see that.
        """
        end = time.monotonic() + _LINGER
        with contextlib.suppress(OSError):  # it went away
            self.connection.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0:
                self.connection.settimeout(left)
                if not self.connection.recv(1 << 16):
                    break

    def _send_json(self, code, value, headers=None):
        text = json.dumps(value, ensure_ascii=False) + "\n"
        kind = "application/json; charset=utf-8"
        self._send(code, text.encode("utf-8", "replace"), kind, headers)

    def _send(self, code, body, kind, headers=None):
        self.send_response(code)
        headers = {"Content-Type": kind, **_HEADERS, **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self):
        """Says what this is, and not of which version."""
        return "dmg_tf"

    def log_message(self, format, *args):
        """Keeps the terminal quiet."""
