"""`history.csv`: one row of numbers an epoch."""

import csv
import io
import pathlib

from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.folders.checksums import checked_bytes


def history_csv(rows: list[dict]) -> str:
    """Returns the text of `history.csv`: one line an epoch."""
    text = io.StringIO()
    # Rows of a resumed run have the same columns: same model, same data.
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_history(path: pathlib.Path) -> list[dict]:
    """Reads `history.csv`: one dict of numbers an epoch.

    Raises:
        UserError: If it is missing or damaged.
    """
    try:
        text = io.StringIO(checked_bytes(path).decode("utf-8"), newline="")
        return [
            {name: _number(name, value) for name, value in row.items()}
            for row in csv.DictReader(text)
        ]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (AttributeError, csv.Error, ValueError, TypeError) as error:
        raise DamagedFile(f"cannot read {path}: {error}") from error


def _number(name: str, value: str) -> int | float:
    # A validation within an epoch is a part of one.
    whole = name == "epoch" and "." not in value
    return int(value) if whole else float(value)
