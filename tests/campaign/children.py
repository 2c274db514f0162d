"""Command lines in forked children, killed where one wants.

Importing TensorFlow takes seconds and starts no thread; a child that is forked
behind it begins at once. So the process that forks must compute nothing.
"""

import dataclasses
import os
import pathlib
import signal
import sys
import time
import traceback

from tests.conftest import write_images

EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link")


@dataclasses.dataclass(frozen=True)
class End:
    """How a child ended.

    Attributes:
        code: Exit code; minus the number of the signal that ended it.
        printed: All that it printed.
        seconds: How long it took.
        changes: How many changes of files it began below the folder watched.
    """

    code: int
    printed: str
    seconds: float
    changes: int = 0


@dataclasses.dataclass(frozen=True)
class Kill:
    """When a child is ended.

    Attributes:
        change: Before which change of a file below `folder`, from 1; or None.
        seconds: After how long; or None.
        folder: Where changes are counted.
        signals: What it is sent, one after the other.
    """

    folder: str
    change: int | None = None
    seconds: float | None = None
    signals: tuple[int, ...] = (signal.SIGKILL,)


def mains():
    """Imports all commands and returns {name: main}; knows the stub."""
    import dmg_tf
    from dmg_tf.commands import (
        check_data,
        evaluate,
        export,
        leave_one_out,
        predict,
        report,
        search,
        train,
    )
    from dmg_tf.registry import BACKBONES

    dmg_tf.register()
    if "stub" not in BACKBONES.names():
        BACKBONES.register("stub", "tests.stubs:STUB_SPEC")
    return {
        "train": train.main,
        "evaluate": evaluate.main,
        "export": export.main,
        "predict": predict.main,
        "report": report.main,
        "check": check_data.main,
        "search": search.main,
        "sweep": leave_one_out.main,
    }


def run(main, argv, log, kill: Kill | None = None, watched=None) -> End:
    """Runs a command line in a child and waits for its end.

    Args:
        main: (argv) -> exit code.
        argv: Its arguments.
        log: A file for what it prints.
        kill: When to end it, or None.
        watched: Folder below which changes are counted, if there is no `kill`.
    """
    sys.stdout.flush()
    log = pathlib.Path(log)
    counter = log.with_suffix(".changes")
    counter.unlink(missing_ok=True)
    started = time.monotonic()
    pid = os.fork()
    if not pid:
        _child(main, argv, log, counter, kill, watched)
    if kill is not None and kill.seconds is not None:
        _signal_after(pid, kill)
    _, status = os.waitpid(pid, 0)
    return End(
        os.waitstatus_to_exitcode(status),
        log.read_text("utf-8", "replace") if log.exists() else "",
        time.monotonic() - started,
        int(counter.read_text()) if counter.exists() else 0,
    )


def _signal_after(pid, kill):
    for number in kill.signals:
        end = time.monotonic() + (kill.seconds or 0)
        while time.monotonic() < end:
            # A child that has ended is left for the one who waits.
            info = os.waitid(
                os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT
            )
            if info is not None:
                return
            time.sleep(0.005)
        os.kill(pid, number)
        kill = dataclasses.replace(kill, seconds=0.1)


def _child(main, argv, log, counter, kill, watched):
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = open(1, "w", buffering=1, closefd=False)
        sys.stderr = open(2, "w", buffering=1, closefd=False)
        changes = _watch(kill, watched)
        code = main([str(word) for word in argv])
        if watched:
            counter.write_text(str(changes[0]))
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


def _watch(kill, watched):
    """Counts changes of files, and ends this process before one of them."""
    changes, mine = [0], os.getpid()
    folder = str(kill.folder if kill else watched or "")
    if not folder:
        return changes

    def hook(name, args):
        if name not in EVENTS or os.getpid() != mine:
            return
        if name == "open":
            mode, how = args[1], args[2]
            writes = os.O_WRONLY | os.O_RDWR | os.O_CREAT
            if not (isinstance(mode, str) and set(mode) & set("wax+")) and not (
                isinstance(how, int) and how & writes
            ):
                return
        if not isinstance(args[0], str | bytes | os.PathLike):
            return
        if not os.fsdecode(args[0]).startswith(folder):
            return
        changes[0] += 1
        if kill and changes[0] == kill.change:
            for number in kill.signals:
                os.kill(mine, number)

    sys.addaudithook(hook)
    return changes


def make_data(root):
    """Writes a small folder of images; a class is a colour. Returns it."""
    return write_images(root, ("art", "photo", "sketch"), ("cat", "dog"), 6, 32)


def flags(data, *more):
    """Returns the flags of a short run on the stub."""
    return [
        *("--data", str(data), "--target", "sketch", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--batch-size", "4"),
        *("--epochs", "2", "--learning-rate", "0.01", *more),
    ]
