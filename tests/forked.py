"""Processes of a test's own that need not load TensorFlow.

That takes as long as all else that most of them do. Python's fork server
imports it once, which starts no thread, and computes nothing; what it forks is
a new process but for that. How a program starts is tested elsewhere.
"""

import ctypes
import multiprocessing
import os
import tempfile
import time

import tensorflow as tf

from dmg_tf.registry import BACKBONES
from tests.stubs import STUB

SECONDS = 120  # nothing that a test starts lives longer
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["dmg_tf.experiment"])


class Forked:
    """A function in a process of its own, with this one's environment.

    The backbone "stub" is known there, and graphs are rewritten where they are
    here; see `plain_graphs`.

    Args:
        act: (*args) -> exit code. A module has it by its name.
        *args: What is handed to it.
        **environment: Further variables.
    """

    def __init__(self, act, *args, **environment):
        self._texts = [tempfile.NamedTemporaryFile("r") for _ in range(2)]
        self._process = _SERVER.Process(
            target=_run,
            args=(
                [file.name for file in self._texts],
                {**os.environ, **environment},
                tf.config.optimizer.get_experimental_options(),
                act,
                args,
            ),
            daemon=True,  # should this process end without `finish`
        )
        self._process.start()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.is_alive()

    def says(self, *starts) -> str:
        """Waits for a line that begins so; returns it."""
        until, alive = time.monotonic() + SECONDS, True
        while alive and time.monotonic() < until:
            time.sleep(0.02)
            alive = self.alive  # asked first: it may say it and end
            said = self._text(0) + self._text(1)
            for line in said.splitlines(keepends=True):
                if line.startswith(starts) and line.endswith("\n"):
                    return line
        raise AssertionError(f"it did not say {starts!r}: {said}")

    def signal(self, number) -> None:
        """Sends it a signal."""
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """Ends it, if it has not ended, and waits for that."""
        self._process.kill()
        self._process.join()

    def finish(self) -> tuple[int, str, str]:
        """Waits for its end; returns exit code, output and errors."""
        self._process.join(SECONDS)
        self.kill()
        return self._process.exitcode, self._text(0), self._text(1)

    def _text(self, number):
        self._texts[number].seek(0)
        return self._texts[number].read()


def _run(texts, environment, options, act, args):
    for number, path in enumerate(texts, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    os.environ.clear()
    os.environ.update(environment)
    BACKBONES.register("stub", STUB)
    tf.config.optimizer.set_experimental_options(options)
    code = act(*args)
    # As a program ends, which `multiprocessing` skips: TensorFlow's workers
    # wait for one another then.
    ctypes.pythonapi.Py_Exit(code)
