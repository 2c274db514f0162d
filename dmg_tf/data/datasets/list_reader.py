"""Reads lists of images and labels, and says all that is wrong with them."""

import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dmg_tf.data.examples import Examples
from dmg_tf.errors import UserError

Entry = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class ListProblem:
    """Something wrong with a list, which ends a run and which a check reports.

    Attributes:
        kind: "unreadable_list", "empty_list", "bad_line", "listed_twice" or
            "no_file".
        message: What is wrong, with list and line.
    """

    kind: str
    message: str


class ListReader:
    """Reads lists of "relative/path label" lines and checks every line.

    Classes are the folders that hold the images. Their order is that of the
    labels, which every dataset numbers in its own way (DomainNet has `t-shirt`
    behind `trumpet`): a folder's label is the one that most of its images
    have, and all others contradict it. Where two folders would share a label,
    their alphabetical order decides.

    A class that no list has leaves a gap in the labels, which is closed.

    Args:
        root: The folder that paths are relative to.
        first_label: Label of the first class: 1 in PACS, 0 in DomainNet.
    """

    def __init__(self, root: pathlib.Path, first_label: int):
        self.root = root
        self.first_label = first_label
        self.class_names: tuple[str, ...] = ()
        self._files: dict[str, frozenset[str]] = {}

    def scan(
        self, path: pathlib.Path
    ) -> Iterator[tuple[Entry | None, ListProblem | None]]:
        """Yields the entries of one list and all that is wrong with it.

        Each item is an entry, (relative path, label from 0), or a problem, or
        both where an entry has no file.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            yield (
                None,
                ListProblem(
                    "unreadable_list", f"cannot read the list {path}: {error}"
                ),
            )
            return
        seen = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            name, _, label = line.strip().rpartition(" ")
            where = f"{path}, line {number}"
            name = name.strip()
            if not name or not label.isdecimal() or name.count("/") < 2:
                what = (
                    f"expected '<domain>/<class>/<image> <label>', "
                    f"got {line.strip()!r}"
                )
                yield None, ListProblem("bad_line", f"{where}: {what}")
                continue
            if name in seen:
                what = f"{name} is in this list already, in line {seen[name]}"
                yield None, ListProblem("listed_twice", f"{where}: {what}")
                continue
            seen[name] = number
            problem = None
            if not self._exists(name):
                what = f"there is no file {self.root / name}"
                problem = ListProblem("no_file", f"{where}: {what}")
            yield (name, int(label) - self.first_label), problem
        if not seen:
            yield (
                None,
                ListProblem("empty_list", f"the list {path} names no image"),
            )

    def read(self, path: pathlib.Path) -> list[Entry]:
        """Reads one list.

        Returns:
            (relative path, label from 0) in the order of the list.

        Raises:
            UserError: If the list is missing or empty, or a line is malformed,
                names a missing file, or names a file twice. The message gives
                list and line.
        """
        entries = []
        for entry, problem in self.scan(path):
            if problem:
                raise UserError(problem.message)
            entries.append(entry)
        return entries

    def read_all(
        self, paths: Sequence[pathlib.Path]
    ) -> dict[pathlib.Path, list[Entry]]:
        """Reads all lists of a run, then checks labels against folders.

        Returns:
            {list: entries}, with labels that are indices into `class_names`.

        Raises:
            UserError: As `read`, and if a label is not its class folder's.
        """
        lists = {path: self.read(path) for path in paths}
        for path, name, label, expected in self.wrong_labels(lists):
            raise UserError(wrong_label_text(path, name, label, expected))
        labels = sorted(
            {label for entries in lists.values() for _, label in entries}
        )
        if labels == list(range(len(labels))):
            return lists
        number_of = {label: i for i, label in enumerate(labels)}
        return {
            path: [(name, number_of[label]) for name, label in entries]
            for path, entries in lists.items()
        }

    def wrong_labels(
        self, lists: Mapping[pathlib.Path, Sequence[Entry]]
    ) -> Iterator[tuple[pathlib.Path, str, int, int]]:
        """Finds the classes of all lists, then labels that contradict them.

        Yields:
            (list, relative path, label, expected label), labels as written.
        """
        expected = _labels_of_classes(lists.values())
        self.class_names = tuple(sorted(expected, key=expected.get))
        for path, entries in lists.items():
            for name, label in entries:
                right = expected[class_folder(name)]
                if label != right:
                    first = self.first_label
                    yield path, name, label + first, right + first

    def examples(self, entries, domain_id: int) -> Examples:
        """Returns the entries of one list as examples of one domain."""
        root = os.fspath(self.root)
        return Examples.make(
            (os.path.join(root, name) for name, _ in entries),
            [label for _, label in entries],
            domain_id,
        )

    def _exists(self, name: str) -> bool:
        # One listing a folder instead of one question a file: on 600,000 files
        # that is seconds instead of minutes.
        folder, _, file = name.rpartition("/")
        if folder not in self._files:
            try:
                self._files[folder] = frozenset(os.listdir(self.root / folder))
            except OSError:
                self._files[folder] = frozenset()
        return file in self._files[folder]


def _labels_of_classes(lists: Iterable[Sequence[Entry]]) -> dict[str, int]:
    """Returns each class folder's label, from 0."""
    pairs = collections.Counter(
        (class_folder(name), label)
        for entries in lists
        for name, label in entries
    )
    votes = collections.defaultdict(dict)
    for (name, label), count in pairs.items():
        votes[name][label] = count
    labels = {
        # The smallest of those with equally many.
        name: min(counts, key=lambda label: (-counts[label], label))
        for name, counts in votes.items()
    }
    first = min(labels.values(), default=0)
    gapless = sorted(labels.values()) == [*range(first, first + len(labels))]
    if len(set(labels.values())) < len(labels):
        return {name: i for i, name in enumerate(sorted(labels))}
    if gapless:  # but perhaps counted from another number
        return {name: label - first for name, label in labels.items()}
    return labels


def class_folder(name: str) -> str:
    """Returns the class of an image: the folder that holds it."""
    return name.rsplit("/", 2)[-2]


def wrong_label_text(
    path: pathlib.Path, name: str, label: int, expected: int
) -> str:
    """Returns the words for a label that contradicts its folder."""
    return (
        f"{path}: {name} has the label {label}, but class "
        f"{class_folder(name)!r} has {expected}"
    )


def check_apart(
    lists: Mapping[pathlib.Path, Sequence[Entry]],
    first: pathlib.Path,
    second: pathlib.Path,
) -> None:
    """Raises UserError if two lists name the same image."""
    both = {name for name, _ in lists[first]} & {n for n, _ in lists[second]}
    if both:
        raise UserError(
            f"{min(both)} is in {first} and in {second.name}: the splits must "
            f"not share images ({len(both)} do)"
        )
