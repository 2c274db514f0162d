"""Starts a part of a `tf.data` service, which prepares training images.

dmg-tf data service dispatcher --port 5050
dmg-tf data service worker --dispatcher HOST:5050
dmg-tf train ... --data-service HOST:5050
"""

import signal
import socket
import threading

from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.data.service.client import check_reachable
from dmg_tf.errors import UserError


def make_parser() -> OneLineParser:
    parser = OneLineParser(
        description="Starts a part of a tf.data service and runs until it is "
        "interrupted. The images must have the same path on each worker as "
        "on the machine that trains. Nothing is encrypted and nobody is asked "
        "who they are: use it inside a trusted network.",
    )
    parts = parser.add_subparsers(
        dest="part", required=True, metavar="{dispatcher,worker}"
    )
    dispatcher = parts.add_parser(
        "dispatcher", help="tells workers what to do; one for a service"
    )
    dispatcher.add_argument(
        "--port", type=int, default=5050, help="(default: 5050)"
    )
    worker = parts.add_parser(
        "worker", help="decodes and augments; as many as there are machines"
    )
    worker.add_argument(
        "--dispatcher",
        required=True,
        metavar="HOST:PORT",
        help="where the dispatcher listens",
    )
    worker.add_argument(
        "--port", type=int, default=0, help="(default: any that is free)"
    )
    worker.add_argument(
        "--host",
        default=socket.gethostname(),
        help="this machine's name, as the machine that trains knows it "
        "(default: %(default)s)",
    )
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    if not 0 <= args.port < 2**16:
        raise UserError(f"--port must be below 65536, got {args.port}")
    if args.part == "worker":
        check_reachable(args.dispatcher, "--dispatcher")
    _check_free(args.port)
    load_tensorflow()
    server, line = _start(args)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print_error(line)
    stop.wait()
    server._stop()
    return 0


def _check_free(port: int) -> None:
    """Raises UserError if another program has the port."""
    try:
        with socket.create_server(("", port)):
            pass
    except OSError as error:
        raise UserError(
            f"cannot listen at --port {port}: {error.strerror}; give another"
        ) from error


def _start(args):
    """Returns the running server and what to say of it."""
    import tensorflow as tf

    service = tf.data.experimental.service
    if args.part == "dispatcher":
        server = service.DispatchServer(
            service.DispatcherConfig(port=args.port)
        )
        _, _, port = server.target.rpartition(":")
        return server, (
            f"the dispatcher listens at port {port}; its workers are started "
            f"with --dispatcher {socket.gethostname()}:{port}"
        )
    if not args.port:
        with socket.create_server(("", 0)) as probe:
            args.port = probe.getsockname()[1]
    server = service.WorkerServer(
        service.WorkerConfig(
            dispatcher_address=args.dispatcher.removeprefix("grpc://"),
            worker_address=f"{args.host}:{args.port}",
            port=args.port,
        )
    )
    return server, (
        f"the worker {args.host}:{args.port} works for {args.dispatcher}"
    )
