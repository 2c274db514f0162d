"""Measures variants in turn, each in a process of its own.

While one variant works the others wait, so all of them meet the same machine:
its noise falls on all alike, and a ratio of two is worth more than a time. A
process a variant also gives each framework its own threads and a peak memory
of its own.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).parent.parent


class Variant:
    """One way to do the work, in a process that waits for its turns.

    The process starts with the first turn.

    Args:
        name: What the table calls it.
        module: Module under `benchmarks` that has its `worker`.
        python: The interpreter, e.g. one that has PyTorch.
        **options: JSON values, handed to `worker`.
    """

    def __init__(self, name: str, module: str, python=None, **options):
        self.name = name
        self._command = [
            python or sys.executable,
            "-m",
            f"benchmarks.{module}",
            "--worker",
        ]
        self._options = json.dumps(options)
        self._process = None
        self._errors = tempfile.TemporaryFile("w+")

    def ask(self, what: str = "measure"):
        """Lets the process work once; returns its answer."""
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
            what = f"{self._options}\n{what}"
        try:
            self._process.stdin.write(what + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._errors.seek(0)
            raise RuntimeError(
                f"{self.name} ended:\n{self._errors.read()[-3000:]}"
            )
        return json.loads(line)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait(60)
            self._process.stdout.close()
        self._errors.close()


def serve(worker: Callable[[str], Callable[[], float]]) -> None:
    """Answers a parent process: seconds, or peak memory in bytes.

    Args:
        worker: Makes the function that measures from the first line given.
    """
    # What libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    measure = worker(sys.stdin.readline())
    for line in sys.stdin:
        if line.strip() == "memory":
            answer = peak_memory()
        else:
            answer = measure()
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory() -> int:
    """Returns the largest resident memory of this process so far, bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def compare(variants, rounds: int, warm_up: int = 2) -> dict[str, list[float]]:
    """Lets the variants work in turn.

    Args:
        variants: They are closed at the end.
        rounds: Turns of each that count.
        warm_up: Turns before that do not.

    Returns:
        {name: what it measured, one number a round}.
    """
    found = {variant.name: [] for variant in variants}
    begin = time.monotonic()
    try:
        for turn in range(-warm_up, rounds):
            for variant in variants:
                value = variant.ask()
                if turn >= 0:
                    found[variant.name].append(value)
            elapsed = time.monotonic() - begin
            left = elapsed / (turn + warm_up + 1) * (rounds - turn - 1)
            print(
                f"\rround {turn + warm_up + 1} of {rounds + warm_up}, "
                f"{left:.0f} s left   ",
                end="",
                file=sys.stderr,
            )
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    finally:
        for variant in variants:
            variant.close()
    return found


def ratio(found, name: str, base: str) -> str:
    """Returns the median, over rounds, of one variant's share of another."""
    if name not in found or base not in found:
        return "-"
    pairs = zip(found[name], found[base], strict=True)
    return f"{statistics.median(a / b for a, b in pairs):.2f}"


def print_table(title: str, header, rows) -> None:
    """Prints a Markdown table."""
    print(f"\n{title}\n")
    print(f"| {' | '.join(header)} |")
    print("|" + "---|" * len(header))
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |")
    print(flush=True)


def torch_python(given: str | None) -> str | None:
    """Returns an interpreter that has PyTorch and torchvision, or None."""
    if given:
        return given
    have = all(
        importlib.util.find_spec(name) for name in ("torch", "torchvision")
    )
    return sys.executable if have else None


def make_parser(doc: str, **defaults) -> argparse.ArgumentParser:
    """Returns a parser with the flags that all benchmarks share."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument(
        "--torch",
        metavar="PYTHON",
        help="an interpreter with torch and torchvision, to compare with "
        "(default: this one, if it has them)",
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    for name, value in defaults.items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, list):
            parser.add_argument(flag, nargs="+", default=value)
        elif value is None:
            parser.add_argument(flag, metavar="DIR")
        else:
            parser.add_argument(flag, type=type(value), default=value)
    return parser


def run(parser, worker, main, argv=None) -> int:
    """Runs a benchmark, or one of its variants in a process of its own."""
    args = parser.parse_args(argv)
    if not args.worker:
        main(args)
        return 0
    # Options can be longer than a command line may be.
    serve(lambda options: worker(**json.loads(options)))
    return 0
