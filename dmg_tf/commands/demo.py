"""Serves a trained model as a web page, on this machine alone by default.

dmg-tf demo RUN_OR_SAVED_MODEL [--port 8510]
"""

import argparse
import signal

from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.printable import say
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.demo.samples import find_samples
from dmg_tf.demo.server import DemoServer, is_loopback
from dmg_tf.predict.predictor import (
    add_trust,
    check_model,
    load_predictor,
)

# Beside TensorFlow Serving's own 8500 and 8501, not on them.
PORT = 8510
MEGABYTES = 10.0


def make_parser() -> OneLineParser:
    parser = OneLineParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "model",
        metavar="RUN_OR_SAVED_MODEL",
        help="a run folder, or a folder that dmg_tf.export wrote",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to serve on; 0.0.0.0 lets other machines in "
        "(default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=PORT,
        help=f"0 takes any that is free (default: {PORT})",
    )
    parser.add_argument(
        "--max-megabytes",
        type=_megabytes,
        default=MEGABYTES,
        metavar="MB",
        help=f"refuse larger files (default: {MEGABYTES:g})",
    )
    add_trust(parser)
    return parser


@program()
def main(argv: list[str] | None = None) -> int:
    args = make_parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        serve(args)
    except KeyboardInterrupt:
        say("\nstopped")
    return 0


def serve(args: argparse.Namespace) -> None:
    """Loads the model and answers requests, without end.

    Raises:
        UserError: If the address is taken or can't be had, or there is no
            model.
    """
    # A taken port and a mistyped path are told before the long part.
    check_model(args.model)
    server = DemoServer(args.host, args.port, int(args.max_megabytes * 1e6))
    with server:
        say(f"loading {args.model}")
        load_tensorflow()
        from dmg_tf.demo.predictor import DemoPredictor

        predictor = load_predictor(args.model, trust=args.trust)
        server.predictor = DemoPredictor(predictor)
        say(server.predictor.text())
        if is_loopback(args.host):
            # The data may be nobody else's business.
            server.offer(find_samples(args.model, server.max_bytes))
        else:
            say(
                f"{args.host} is open to other machines, without a password "
                "and without encryption"
            )
        say(f"serving on {server.url} (Ctrl-C ends it)")
        server.serve_forever()


def _interrupt(*_):
    raise KeyboardInterrupt


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 0 to 65535, got {text!r}"
        )
    return int(text)


def _megabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1000:
        raise argparse.ArgumentTypeError(
            f"must be a number from 0.001 to 1000, got {text!r}"
        )
    return value
