"""A table of images: a CSV or Parquet file with path, label and domain."""

import csv
import io
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dmg_tf.data import is_table
from dmg_tf.data.datasets.folder import split_by_seed
from dmg_tf.data.datasets.list_reader import ListProblem
from dmg_tf.data.datasets.spec import (
    OWN_PRESETS,
    SPLIT_NAMES,
    TEST,
    TRAIN,
    VALIDATION,
    DatasetSpec,
    encoding_of,
)
from dmg_tf.data.datasets.walk import IMAGE_SUFFIXES, is_image
from dmg_tf.data.domains import as_known, pick_domains
from dmg_tf.data.examples import DomainData, Examples, checked
from dmg_tf.data.names import check_spelling, nfc
from dmg_tf.data.same_files import RealFiles, check_each_once
from dmg_tf.errors import UserError, missing_extra

COLUMNS = ("path", "label", "domain")
SPLIT = "split"
_DELIMITERS = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"


class Row(NamedTuple):
    """A line of a table.

    Attributes:
        path: The image, from the table's folder on, or absolute.
        label: Its class.
        domain: Its domain.
        split: "train", "validation", "test", or "" where the table says none.
        line: Where it stands, for errors.
    """

    path: str
    label: str
    domain: str
    split: str
    line: str


def scan(
    path: pathlib.Path, look: bool = True
) -> Iterator[tuple[Row | None, ListProblem | None]]:
    """Yields the rows of a table and all that is wrong with it.

    Each item is a row, or a problem, or both where a row has no file.

    Args:
        path: A .csv, .tsv or .parquet file with a header.
        look: Whether to look for the images, too.
    """
    try:
        header, lines = _read(path)
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        what = f"cannot read the table {path}: {error}"
        yield None, ListProblem("unreadable_list", what)
        return
    names = [name.strip().casefold() for name in header]
    lacking = [column for column in COLUMNS if column not in names]
    if lacking:
        what = (
            f"{path} has no column {', '.join(map(repr, lacking))}; it has "
            f"{', '.join(filter(None, header)) or 'none'}, and needs "
            f"{', '.join(COLUMNS)} and, if images are split, {SPLIT}"
        )
        yield None, ListProblem("unreadable_list", what)
        return
    places = {
        name: names.index(name) for name in (*COLUMNS, SPLIT) if name in names
    }
    seen: dict[str, str] = {}
    for where, cells in lines:
        row, problem = _row(path, where, cells, places)
        if row is not None:
            if row.path in seen:
                what = (
                    f"{row.path} is in the table already, in {seen[row.path]}"
                )
                yield (
                    None,
                    ListProblem("listed_twice", f"{path}, {where}: {what}"),
                )
                continue
            seen[row.path] = where
        if row is not None and look:
            problem = _missing(path, row)
        yield row, problem
    if not seen:
        what = f"the table {path} names no image"
        yield None, ListProblem("empty_list", what)


def _row(path, where, cells, places) -> tuple[Row | None, ListProblem | None]:
    def cell(name):
        place = places.get(name)
        return cells[place].strip() if place is not None else ""

    def wrong(what):
        return None, ListProblem("bad_line", f"{path}, {where}: {what}")

    if len(cells) <= max(places.values()):
        return wrong(f"{len(cells)} cells, fewer than the header has")
    empty = [name for name in COLUMNS if not cell(name)]
    if empty:
        return wrong(f"no {' and no '.join(empty)}")
    split = cell(SPLIT).casefold()
    if SPLIT in places and split not in SPLIT_NAMES:
        return wrong(
            f"the split {cell(SPLIT)!r} is none; there are train, validation "
            "and test"
        )
    name = os.path.normpath(cell("path"))
    if not is_image(name):
        return wrong(
            f"{name} is no image; expected one of the suffixes "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    row = Row(
        name,
        nfc(cell("label")),
        nfc(cell("domain")),
        SPLIT_NAMES.get(split, ""),
        where,
    )
    return row, None


def _missing(path, row: Row) -> ListProblem | None:
    file = _file_of(path, row)
    if os.path.isfile(file):
        return None
    what = f"{path}, {row.line}: there is no file {file}"
    return ListProblem("no_file", what)


def _read(path):
    """Returns the header of a table and an iterator of (where, cells)."""
    if path.suffix.lower() == _PARQUET:
        return _read_parquet(path)
    contents = path.read_bytes()
    encoding, mark = encoding_of(contents)
    text = contents[mark:].decode(encoding)
    delimiter = _DELIMITERS[path.suffix.lower()]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = next(reader, [])

    def lines():
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield f"line {reader.line_num}", cells

    return header, lines()


def _read_parquet(path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra(
            "a Parquet file needs pyarrow", "parquet"
        ) from error
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error).splitlines()[0]) from error
    columns = [column.to_pylist() for column in table.columns]

    def lines():
        for number, cells in enumerate(zip(*columns, strict=True), start=1):
            yield (
                f"row {number}",
                ["" if cell is None else str(cell) for cell in cells],
            )

    return list(table.column_names), lines()


def rows_of(path: str | os.PathLike, look: bool = True) -> list[Row]:
    """Returns the rows of a table.

    Args:
        path: The table.
        look: Whether to look for the images, too.

    Raises:
        UserError: If it can't be read, or a row can't be; with the line.
    """
    rows = []
    for row, problem in scan(pathlib.Path(path), look):
        if problem:
            raise UserError(problem.message)
        rows.append(row)
    return rows


def _file_of(path, row: Row) -> str:
    """Returns where a row's image is; an absolute path stays."""
    return os.path.join(os.path.dirname(path), row.path)


def domains(root: str | os.PathLike) -> tuple[str, ...]:
    """Returns the names of the domains in a table, sorted; looks at no image.

    Raises:
        UserError: As `rows_of`.
    """
    return tuple(sorted({row.domain for row in rows_of(root, look=False)}))


def load(
    root: str | os.PathLike,
    target: str | None,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Reads a table of images.

    Without a column `split`, and where a source has no validation rows, 10 % of
    each class and source select the epoch, drawn by seed. Sources are scored on
    their test rows, if all of them have some; the target is scored on its test
    rows, or all of its rows if it has none.

    Args:
        root: The table.
        target: The domain that is held out; None for none.
        sources: The domains to train on; None for all others.
        seed: Seed of the split.

    Raises:
        UserError: If the table is not as described above.
    """
    rows = rows_of(root)
    known = sorted({row.domain for row in rows})
    target = target and as_known(nfc(target), known)
    sources = pick_domains(known, target, sources, str(root))
    run = (*sources, *([target] if target else []))
    by_domain = {name: [r for r in rows if r.domain == name] for name in run}
    class_names = tuple(
        sorted({r.label for of in by_domain.values() for r in of})
    )
    label_of = {name: label for label, name in enumerate(class_names)}
    labels = {d: {row.label for row in of} for d, of in by_domain.items()}
    check_spelling(labels, lambda domain: str(root))
    files = [_file_of(root, row) for of in by_domain.values() for row in of]
    check_each_once(files, RealFiles().find(files))

    def examples(rows_, domain_id):
        return Examples.make(
            (_file_of(root, row) for row in rows_),
            [label_of[row.label] for row in rows_],
            domain_id,
        )

    train, validation, test = [], [], []
    for index, domain in enumerate(sources):
        parts = _split(by_domain[domain], seed)
        train.append(examples(parts[TRAIN], index))
        validation.append(examples(parts[VALIDATION], index))
        test.append(examples(parts[TEST], index))
    scored = by_domain[target] if target else []
    scored = [row for row in scored if row.split == TEST] or scored
    data = DomainData(
        class_names,
        sources,
        target,
        Examples.concatenate(train),
        Examples.concatenate(validation),
        Examples.concatenate(test) if all(map(len, test)) else None,
        examples(scored, -1),
    )
    return checked(data, apart=True)


def _split(rows: Sequence[Row], seed: int) -> Mapping[str, list[Row]]:
    """Returns {split: rows} of a source, in the table's order."""
    parts = {
        TRAIN: [row for row in rows if row.split in (TRAIN, "")],
        VALIDATION: [row for row in rows if row.split == VALIDATION],
        TEST: [row for row in rows if row.split == TEST],
    }
    if parts[VALIDATION]:
        return parts
    keep, hold = [], []
    for label in dict.fromkeys(row.label for row in parts[TRAIN]):
        of_class = [row for row in parts[TRAIN] if row.label == label]
        names = [nfc(row.path.replace(os.sep, "/")) for row in of_class]
        for part, chosen in zip(
            (keep, hold), split_by_seed(names, seed), strict=True
        ):
            part += [of_class[i] for i in chosen]
    return {**parts, TRAIN: keep, VALIDATION: hold}


SPEC = DatasetSpec(
    title="Table",
    load=load,
    domains=domains,
    recognises=is_table,
    presets=OWN_PRESETS,
    splits_in_words=(
        "Where the table has no validation rows of a domain, 10 % of each of "
        "its classes\nselect the epoch, drawn by --seed."
    ),
)
