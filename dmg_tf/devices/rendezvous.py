"""Waiting for all workers of a run, before TensorFlow does.

TensorFlow would wait without end for a worker that never comes, deaf to
Ctrl-C. So the chief first takes a call from each worker at its own address,
and says go once all have called.
"""

import contextlib
import socket
import time

from dmg_tf.console.bar import print_error
from dmg_tf.devices.cluster import Cluster
from dmg_tf.errors import UserError

_GREETING = "dmg_tf worker "
_GO = b"go\n"
_TRY_SECONDS = 0.5


def meet(cluster: Cluster, seconds: float) -> None:
    """Returns once every worker has called this function.

    Args:
        cluster: All workers, and which of them this is.
        seconds: How long to wait.

    Raises:
        UserError: If a worker, or the chief, is not there in time.
    """
    if len(cluster.addresses) < 2:
        return
    deadline = time.monotonic() + seconds
    if cluster.is_chief:
        _gather(cluster, deadline, seconds)
    else:
        _call(cluster, deadline, seconds)


def _gather(cluster: Cluster, deadline: float, seconds: float) -> None:
    missing = dict(enumerate(cluster.addresses))
    del missing[0]
    print_error(f"waiting for {_list(cluster, missing)}")
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(_listen(cluster.addresses[0]))
        server.settimeout(_TRY_SECONDS)
        calls = []
        while missing:
            if time.monotonic() > deadline:
                raise UserError(
                    f"{_list(cluster, missing)} did not start within "
                    f"{seconds:g} seconds; each worker in TF_CONFIG needs its "
                    "own process, started with the same command"
                )
            with contextlib.suppress(OSError):
                call = stack.enter_context(server.accept()[0])
                index = _index_of(call)
                if index in missing:
                    calls.append(call)
                    del missing[index]
        for call in calls:
            with contextlib.suppress(OSError):  # found out at the first step
                call.sendall(_GO)


def _index_of(call) -> int | None:
    call.settimeout(_TRY_SECONDS)
    text = call.recv(64).decode("ascii", "replace")
    number = text.removeprefix(_GREETING).strip()
    called = text.startswith(_GREETING) and number.isdecimal()
    return int(number) if called else None


def _call(cluster: Cluster, deadline: float, seconds: float) -> None:
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            with socket.create_connection(
                _host_and_port(cluster.addresses[0]), _TRY_SECONDS
            ) as call:
                call.sendall(f"{_GREETING}{cluster.index}\n".encode())
                call.settimeout(max(0.1, deadline - time.monotonic()))
                if call.recv(len(_GO)) == _GO:
                    return
        time.sleep(_TRY_SECONDS)
    raise UserError(
        f"the chief, {cluster.describe(0)}, does not answer, or waits for "
        f"other workers, since {seconds:g} seconds"
    )


def _listen(address: str) -> socket.socket:
    port = _host_and_port(address)[1]
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True
            )
        return socket.create_server(("", port))
    except OSError as error:
        raise UserError(
            f"the chief cannot listen at port {port} of TF_CONFIG: "
            f"{error.strerror}"
        ) from error


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _list(cluster: Cluster, indices) -> str:
    return ", ".join(cluster.describe(index) for index in indices)
