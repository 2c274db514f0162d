"""The web server: its address, and whose requests it takes for its own."""

import contextlib
import errno
import http.server
import ipaddress
import socket
import socketserver
import sys
import threading
import time
import urllib.parse
from collections.abc import Sequence

from dmg_tf.demo.handler import DemoHandler
from dmg_tf.demo.samples import Sample
from dmg_tf.errors import UserError

# A thread each.
_MOST_CONNECTIONS = 1000
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)


class DemoServer(http.server.ThreadingHTTPServer):
    """Answers with a thread a connection, and one model for all of them.

    The address is taken at once; set `predictor`, and `samples` if there are
    any, before `serve_forever`.

    Args:
        host: Name or address to serve on.
        port: 0 for any that is free.
        max_bytes: Size of the largest file that is taken.

    Raises:
        UserError: If the address can't be had.
    """

    daemon_threads = True
    # New connections that wait while others are answered.
    request_queue_size = 128

    def __init__(self, host: str, port: int, max_bytes: int):
        self.max_bytes = max_bytes
        self.predictor = None
        self.samples: dict[str, Sample] = {}
        self._free = threading.Semaphore(_MOST_CONNECTIONS)
        # {connection: when all of its request must have come}
        self.deadlines = {}
        self._host = host
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.address_family = addresses[0][0]
            super().__init__(addresses[0][4][:2], DemoHandler)
        except (OSError, UnicodeError) as error:
            raise UserError(_why_not(error, host, port)) from error

    def offer(self, samples: Sequence[Sample]) -> None:
        """Lets the page show pictures to try, each at an address of its own."""
        self.samples = {f"/samples/{i}": s for i, s in enumerate(samples)}

    @property
    def url(self) -> str:
        """The page's address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.server_address[1]}/"

    def knows_host(self, header: str | None) -> bool:
        """Returns whether a request's Host may be this server.

        A page elsewhere can let its own name point to this machine and have
        the browser ask it ("DNS rebinding"); then Host has that page's name.
        Who serves other machines may have any name.
        """
        if not is_loopback(self._host):
            return bool(header)
        try:
            name = urllib.parse.urlsplit(f"//{header}").hostname or ""
        except ValueError:  # brackets without an address in them
            return False
        return name in ("localhost", self._host.lower()) or _is_own(name)

    def server_bind(self):
        """Binds without asking the network for the machine's full name."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        """Starts a thread for a connection, if there are not too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with contextlib.suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request, client_address):
        """Answers a connection in its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.deadlines.pop(request, None)
            self._free.release()

    def service_actions(self):
        """Cuts off who sends a request too slowly; called twice a second."""
        now = time.monotonic()
        for connection, deadline in list(self.deadlines.items()):
            if now > deadline:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        """Reports what is not just a client that went away."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def is_loopback(host: str) -> bool:
    """Returns whether an address is reached from this machine alone."""
    return host == "localhost" or _is_own(host)


def _is_own(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _why_not(error, host, port) -> str:
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return f"there is no host {host!r}; this machine alone is 127.0.0.1"
    number = error.errno
    if number == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is taken; give another --port, or 0 for "
            "any that is free"
        )
    if number == errno.EACCES:
        return f"port {port} needs a right you don't have; give one above 1023"
    return f"cannot serve on {host} port {port}: {error.strerror or error}"
