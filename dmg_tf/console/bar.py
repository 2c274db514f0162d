"""One bar with time left, for all that takes long.

Rich is imported when something is shown: a mistyped flag does not wait for it.
"""

import time

from dmg_tf.console.printable import printable

# Logs that nobody watches are written in whole lines, and not too many.
_QUIET_SECONDS = 30.0
_silent = False


def be_silent(silent: bool = True) -> None:
    """Shows no bar and prints no line from now on; another process does."""
    global _silent
    _silent = silent


class Bar:
    """A progress bar with time left, on the error stream.

    In a terminal it moves in place; in a log file it is a line every half
    minute.

    Args:
        title: What is being done.
        total: How many units of work there are; None if that is not known.
        unit: Their name, e.g. "images"; "bytes" are shown as MB, with speed.
        done: How many were done before, e.g. by a run that was killed.
    """

    def __init__(self, title: str, total: int | None, unit: str, done: int = 0):
        import rich.console
        import rich.progress

        if unit == "bytes":
            amount = (
                rich.progress.DownloadColumn(),
                rich.progress.TransferSpeedColumn(),
            )
        else:
            amount = (
                rich.progress.MofNCompleteColumn(),
                rich.progress.TextColumn(unit),
            )
        self._console = rich.console.Console(stderr=True)
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=None),
            *amount,
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(elapsed_when_finished=False),
            console=self._console,
            transient=True,
            refresh_per_second=4,
            speed_estimate_period=120.0,
            disable=_silent or not self._console.is_terminal,
        )
        self._title, self._unit = title, unit
        self._total, self._done, self._first = total, done, done
        self._begin = self._spoken = time.monotonic()
        self._task = self._progress.add_task(
            _as_text(title), total=total, completed=done
        )

    def __enter__(self):
        self._begin = self._spoken = time.monotonic()
        self._progress.start()
        return self

    def __exit__(self, *error):
        self._progress.stop()

    def advance(self, count: int = 1, title: str | None = None) -> None:
        """Counts units of work as done."""
        self._done += count
        self._title = title or self._title
        if self._console.is_terminal:
            self._progress.update(
                self._task, advance=count, description=_as_text(self._title)
            )
            return
        now = time.monotonic()
        if now - self._spoken >= _QUIET_SECONDS:
            self._spoken = now
            print_error(f"{self._title}: {self._so_far(now - self._begin)}")

    def _so_far(self, seconds: float) -> str:
        """Returns what is done after so many seconds, and the time left."""
        if self._unit == "bytes":
            done, unit = f"{self._done / 1e6:.1f}", "MB"
            total = f"{(self._total or 0) / 1e6:.1f}"
        else:
            done, unit, total = self._done, self._unit, self._total
        if self._total is None:
            return f"{done} {unit}"
        worked = max(1, self._done - self._first)
        left = seconds / worked * (self._total - self._done)
        return f"{done}/{total} {unit}, {_clock(left)} left"

    def print(self, text: str) -> None:
        """Prints a line above the bar."""
        if self._console.is_terminal and not _silent:
            self._progress.console.print(
                printable(text), highlight=False, markup=False
            )
        else:
            print_error(text)


def print_error(text: str) -> None:
    """Prints a line on the error stream, at once."""
    if _silent:
        return
    import rich.console

    rich.console.Console(stderr=True, soft_wrap=True).print(
        printable(text), highlight=False, markup=False
    )


def _as_text(title: str) -> str:
    import rich.markup

    return rich.markup.escape(printable(title))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
