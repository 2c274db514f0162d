"""Command lines in forked children, killed where one wants.

Importing TensorFlow takes seconds and starts no thread; a child that is forked
behind it begins at once. So the process that forks must compute nothing.
"""

import collections
import dataclasses
import functools
import json
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


@dataclasses.dataclass(frozen=True)
class Ground:
    """What all attacks begin with; not to be changed.

    Attributes:
        data: A folder of images.
        run: A finished run on them, with an export.
        argv: The flags that it was trained with, but for `--output`.
    """

    data: pathlib.Path
    run: pathlib.Path
    argv: list[str]


def make_ground(root) -> Ground:
    """Trains a run on a few images, below an empty folder."""
    data = make_data(root / "data")
    argv = flags(data, "--method", "aggregate", "--export")
    end = run(
        mains()["train"],
        [*argv, "--output", root / "finished"],
        root / "finished.log",
    )
    return Ground(data, well(end) and root / "finished", argv)


def well(end):
    """Returns how a child ended, which must have been well."""
    if end.code:
        raise RuntimeError(end.printed)
    return end


@functools.cache
def mains():
    """Imports all commands and returns {name: main}; knows the stub."""
    import dmg_tf
    from dmg_tf.commands import (
        check_data,
        demo,
        evaluate,
        export,
        leave_one_out,
        predict,
        report,
        search,
        train,
    )
    from dmg_tf.registry import BACKBONES
    from dmg_tf.studies.sweep import runner

    dmg_tf.register()
    if "stub" not in BACKBONES.names():
        BACKBONES.register("stub", "tests.stubs:STUB_SPEC")
    runner.subprocess = Forks(train.main)
    return {
        "train": train.main,
        "evaluate": evaluate.main,
        "export": export.main,
        "predict": predict.main,
        "report": report.main,
        "check": check_data.main,
        "demo": demo.main,
        "search": search.main,
        "sweep": leave_one_out.main,
    }


@dataclasses.dataclass(frozen=True)
class Child:
    """A command line that runs in a process of its own.

    Attributes:
        pid: Its process.
        log: The file of what it prints.
        begin: When it began, of the clock that only goes forward.
    """

    pid: int
    log: pathlib.Path
    begin: float

    @property
    def alive(self) -> bool:
        """Whether it runs; one that has ended is left for `end`."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, flags) is None

    def printed(self) -> str:
        """Returns all that it printed yet."""
        if not self.log.exists():
            return ""
        return self.log.read_text("utf-8", "replace")

    def end(self) -> End:
        """Waits for its end."""
        _, status = os.waitpid(self.pid, 0)
        counter = self.log.with_suffix(".changes")
        return End(
            os.waitstatus_to_exitcode(status),
            self.printed(),
            time.monotonic() - self.begin,
            int(counter.read_text()) if counter.exists() else 0,
        )


def start(main, argv, log, kill: Kill | None = None, watched=None) -> Child:
    """Starts a command line in a child; see `run`."""
    sys.stdout.flush()
    log = pathlib.Path(log)
    counter = log.with_suffix(".changes")
    counter.unlink(missing_ok=True)
    log.unlink(missing_ok=True)
    begin = time.monotonic()
    pid = os.fork()
    if not pid:
        _child(main, argv, log, counter, kill, watched)
    return Child(pid, log, begin)


def run(main, argv, log, kill: Kill | None = None, watched=None) -> End:
    """Runs a command line in a child and waits for its end.

    Args:
        main: (argv) -> exit code.
        argv: Its arguments.
        log: A file for what it prints.
        kill: When to end it, or None.
        watched: Folder below which changes are counted, if there is no `kill`.
    """
    child = start(main, argv, log, kill, watched)
    if kill is not None and kill.seconds is not None:
        _signal_after(child, kill)
    return child.end()


def outcome(end) -> str:
    """Returns how a command took what it was given, in words."""
    errors = [x for x in end.printed.splitlines() if x.startswith("error: ")]
    if "Traceback" in end.printed:
        return "traceback"
    if end.code == 2 and len(errors) == 1:
        return "refused in a line"
    return f"exit code {end.code}" if end.code else "done"


class Forks:
    """Stands in for `subprocess` where a sweep starts its runs.

    They begin at once, and know the stub.

    Args:
        main: Of the program that is started.
    """

    DEVNULL = STDOUT = None

    def __init__(self, main):
        self._main = main

    def Popen(self, command, stdout, preexec_fn, **_):  # noqa: N802
        """Forks; see `subprocess.Popen`."""
        pid = os.fork()
        if not pid:
            preexec_fn()
            start = command.index("train") + 1
            _become(lambda: self._main(command[start:]), stdout.name)
        return _Fork(pid)


class _Fork:
    def __init__(self, pid):
        self._pid, self.returncode = pid, None

    def poll(self, how=os.WNOHANG):
        if self.returncode is None:
            pid, status = os.waitpid(self._pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self):
        return self.poll(0)

    def terminate(self):
        if self.poll() is None:
            os.kill(self._pid, signal.SIGTERM)


def side_by_side(tasks, folder) -> collections.Counter:
    """Does some things at once, a process each.

    Args:
        tasks: () -> Counter with text as keys.
        folder: Where they leave what they counted.

    Returns:
        The sum of what they counted.
    """
    sys.stdout.flush()
    files = [pathlib.Path(folder) / f"{n}.json" for n in range(len(tasks))]
    pids = []
    for task, file in zip(tasks, files, strict=True):

        def act(task=task, file=file):
            file.write_text(json.dumps(task()))

        pids.append(os.fork())
        if not pids[-1]:
            _become(act)
    ends = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(ends):
        raise RuntimeError("an attack ended with an error, see above")
    counts = collections.Counter()
    for file in files:
        counts.update(json.loads(file.read_text()))
    return counts


def _signal_after(child, kill):
    for number in kill.signals:
        end = time.monotonic() + (kill.seconds or 0)
        while time.monotonic() < end:
            if not child.alive:
                return
            time.sleep(0.005)
        os.kill(child.pid, number)
        kill = dataclasses.replace(kill, seconds=0.1)


def _child(main, argv, log, counter, kill, watched):
    def act():
        changes = _watch(kill, watched)
        code = main([str(word) for word in argv])
        if watched:
            counter.write_text(str(changes[0]))
        return code

    _become(act, log)


def _become(act, log=None):
    """Lets a forked process do something and end; never returns.

    Args:
        act: () -> exit code.
        log: A file that what it prints is added to.
    """
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if log is not None:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            sys.stdout = open(1, "w", buffering=1, closefd=False)
            sys.stderr = open(2, "w", buffering=1, closefd=False)
        code = act()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 2
    except BaseException as error:
        # Before a program begins, and behind its end, an interruption is not
        # its own.
        places = [
            at.filename for at in traceback.extract_tb(error.__traceback__)
        ]
        if isinstance(error, KeyboardInterrupt) and not any(
            "/dmg_tf/" in place for place in places
        ):
            code = 130
        else:
            traceback.print_exc()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
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
