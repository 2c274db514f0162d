"""The table of predictions: its columns, its rows, its file."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

import numpy as np

from dmg_tf.console.printable import printable
from dmg_tf.errors import UserError
from dmg_tf.files import open_replacing, writing
from dmg_tf.runs.cells import csv_writer, inert
from dmg_tf.runs.facts import ModelFacts


def check_csv(path: str) -> None:
    """Raises UserError if a file can't be written there."""
    if os.path.isdir(path):
        raise UserError(f"--csv {path} is a folder; give a file")
    if os.path.exists(path) and not os.path.isfile(path):
        # It would be replaced by a file.
        raise UserError(
            f"--csv {path} is a device or a pipe; leave --csv out to print"
        )
    parent = os.path.dirname(path) or "."
    if not os.path.isdir(parent):
        raise UserError(
            f"cannot write --csv {path}: there is no folder {parent}"
        )


def column_names(
    facts: ModelFacts, top_k: int = 1, below: float | None = None
) -> list[str]:
    """Returns the names of the columns, in order.

    Args:
        facts: What the model is.
        top_k: Number of classes in a row.
        below: The probability below which it should not decide, or None.
    """
    names = ["path", "class", "probability"]
    for rank in range(2, top_k + 1):
        names += [f"class_{rank}", f"probability_{rank}"]
    for rule in facts.domain_rules:
        names += [f"{rule.name}/class", f"{rule.name}/probability"]
    if facts.domain_rules:
        names += ["votes", "agreement"]
    if below is not None:
        names.append("abstain")
    return [*names, "error"]


def table_rows(
    facts: ModelFacts,
    paths,
    reasons,
    answers,
    top_k: int = 1,
    below: float | None = None,
):
    """Yields a row an image, as `column_names` has them.

    Args:
        facts: What the model is.
        paths: The files of a batch.
        reasons: Why each can't be read, or "".
        answers: Its `Answers`; None if none could be read.
        top_k: Number of classes in a row.
        below: As for `column_names`.
    """
    empty = [""] * (len(column_names(facts, top_k, below)) - 2)
    for i, (path, reason) in enumerate(zip(paths, reasons, strict=True)):
        if reason:
            yield [path, *empty, reason]
            continue
        row = [path]
        ids, values = answers.class_ids[i], answers.probabilities[i]
        if facts.domain_rules:
            ids = [*ids, *answers.domain_class_ids[i]]
            values = [*values, *answers.domain_probabilities[i]]
        for class_id, value in zip(ids, values, strict=True):
            row += [facts.class_names[class_id], f"{value:.6f}"]
        if facts.domain_rules:
            row += [f"{answers.votes[i]:.6f}", f"{answers.agreement[i]:.6f}"]
        if below is not None:
            row.append("yes" if answers.probabilities[i][0] < below else "no")
        yield [*row, ""]


class Tally:
    """Counts what became of the images.

    Args:
        facts: What the model is.
        below: As for `column_names`.
    """

    def __init__(self, facts: ModelFacts, below: float | None = None):
        self._facts, self._below = facts, below
        self.predicted = self.unreadable = self.disputed = self.unsure = 0

    def add(self, reasons, answers) -> None:
        """Counts a batch, given as for `table_rows`."""
        read = np.asarray([not reason for reason in reasons])
        self.predicted += int(read.sum())
        self.unreadable += int((~read).sum())
        if answers is not None and self._facts.domain_rules:
            self.disputed += int((read & (answers.votes < 1)).sum())
        if answers is not None and self._below is not None:
            unsure = answers.probabilities[:, 0] < self._below
            self.unsure += int((read & unsure).sum())

    def __str__(self):
        rule, part = self._facts.prediction_rule.name, self._facts.part
        text = f"{counted(self.predicted, 'image')} predicted by {rule}"
        if self.predicted and part:
            text += (
                f"; the {part}s disagree on the class "
                f"of {self.disputed} ({self.disputed / self.predicted:.1%})"
            )
        if self.predicted and self._below is not None:
            text += f"; of {self.unsure} it is too unsure to decide (abstain)"
        if self.unreadable:
            text += (
                f"; {counted(self.unreadable, 'file')} could not be read, see "
                "the column error"
            )
        return text


def counted(number: int, unit: str) -> str:
    """Returns e.g. "1 file" or "2 files"."""
    return f"{number} {unit}{'' if number == 1 else 's'}"


class Table:
    """Writes rows as CSV, each of them at once.

    Args:
        file: Takes bytes.
        path: What to call it in errors.
        shown: Whether a terminal shows the rows; names are escaped then.
    """

    def __init__(self, file, path: str, shown: bool = False):
        self._file, self._path, self._shown = file, path, shown

    def write(self, rows) -> None:
        """Writes rows.

        Raises:
            UserError: If the disk is full, or the like.
            BrokenPipeError: If nobody reads on.
        """
        text = io.StringIO(newline="")
        writer = csv_writer(text)
        writer.writerows(map(inert, rows))
        text = text.getvalue()
        text = printable(text) if self._shown else text
        with _writing(self._path):
            # A name that is no text keeps its bytes.
            self._file.write(text.encode("utf-8", "surrogateescape"))
            self._file.flush()


@contextlib.contextmanager
def open_table(path: str | None) -> Iterator[Table]:
    """Gives a table that appears as a whole file, or on standard output.

    Args:
        path: The file; None for standard output.

    Raises:
        UserError: If it can't be written.
    """
    if path is None:
        shown = sys.stdout.isatty()
        yield Table(sys.stdout.buffer, "to standard output", shown)
        return
    with open_replacing(path) as file:
        yield Table(file, path)


@contextlib.contextmanager
def _writing(path):
    try:
        with writing(path):
            yield
    except UserError as error:
        if isinstance(error.__cause__, BrokenPipeError):
            raise error.__cause__ from None
        raise
