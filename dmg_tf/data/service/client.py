"""The side of a run that takes its images from a `tf.data` service."""

import os
import socket
import threading

from dmg_tf.console.parser import command
from dmg_tf.errors import UserError

_CONNECT_SECONDS = 10
_PROBE_SECONDS = 30
# What TensorFlow decodes by itself. All else needs Python in the process that
# decodes, which a worker of the service does not have.
_SUFFIXES = (".jpg", ".jpeg", ".png")
# What a graph says of such a file, with its name behind.
NOT_DECODABLE = "neither JPEG nor PNG: "


def parse_address(text: str, flag: str = "--data-service") -> tuple[str, int]:
    """Reads HOST:PORT, with or without grpc:// before it.

    Raises:
        UserError: If it is anything else.
    """
    host, _, port = text.removeprefix("grpc://").rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise UserError(
            f"{flag} must be HOST:PORT of the dispatcher, got {text!r}; "
            "e.g. localhost:5050"
        )
    return host, int(port)


def check_reachable(address: str, flag: str = "--data-service") -> None:
    """Raises UserError unless something listens at a dispatcher's address."""
    try:
        host, port = parse_address(address, flag)
        socket.create_connection(
            (host.strip("[]"), port), _CONNECT_SECONDS
        ).close()
    except OSError as error:
        raise UserError(
            f"{flag} {address} does not answer ({error.strerror or error}); "
            f"start it with {command('data service')} dispatcher"
        ) from error


def check_service(address: str, paths) -> None:
    """Checks that a service is there and can decode the images.

    Args:
        address: HOST:PORT of its dispatcher.
        paths: The files that it will be asked for.

    Raises:
        UserError: If an image is of a kind that it can't decode, if nothing
            answers at the address, or if the dispatcher has no worker.
    """
    for path in paths:
        if os.path.splitext(path)[1].lower() not in _SUFFIXES:
            raise UserError(not_for_service(path))
    check_reachable(address)
    if not _has_worker(address):
        raise UserError(
            f"the data service at {address} has no worker; start one with "
            f"{command('data service')} worker --dispatcher {address}"
        )


def not_for_service(path: str) -> str:
    """Returns what to say of an image that a service can't decode."""
    return (
        f"--data-service decodes JPEG and PNG alone, got {path}; convert it, "
        "or train without --data-service"
    )


def undecodable_path(error: Exception) -> str | None:
    """Returns the file that a service could not decode, if it was that."""
    _, found, rest = str(error).partition(NOT_DECODABLE)
    return rest.splitlines()[0].strip("] \"'") if found else None


def _has_worker(address: str) -> bool:
    """Returns whether the service gives back what it is asked for."""
    import tensorflow as tf

    answered = threading.Event()

    def ask():
        for _ in tf.data.Dataset.range(1).apply(from_service(address)):
            answered.set()

    # Without a worker the question is never answered.
    threading.Thread(target=ask, daemon=True).start()
    return answered.wait(_PROBE_SECONDS)


def from_service(address: str):
    """Returns what makes a dataset be computed by the service.

    The numbers of the dataset's source are dealt out to the service's workers
    as they ask for more: each is used once, and a single worker keeps the
    order.

    Args:
        address: HOST:PORT of the dispatcher.

    Returns:
        A function for `tf.data.Dataset.apply`.
    """
    import tensorflow as tf

    host, port = parse_address(address)
    service = tf.data.experimental.service
    return service.distribute(
        processing_mode=service.ShardingPolicy.DYNAMIC,
        service=f"grpc://{host}:{port}",
    )
