"""Reads lists of images and labels, and says all that is wrong with them."""

import collections
import dataclasses
import os
import pathlib
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from dmg_tf.data.datasets.spec import encoding_of
from dmg_tf.data.datasets.walk import LeftOut, is_hidden, is_image
from dmg_tf.data.examples import Examples
from dmg_tf.data.names import nfc
from dmg_tf.data.same_files import (
    Found,
    RealFiles,
    is_below,
    same_files,
    strangers,
)
from dmg_tf.errors import UserError

# A line of a list: the image (path relative to the dataset's folder, as the
# disk spells it), its label from 0, the line's number from 1. Plain tuples, as
# 600,000 of any other kind take the garbage collector seconds.
Entry = tuple[str, int, int]
Lists = Mapping[pathlib.Path, Sequence[Entry]]


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

    Attributes:
        files: Finds the images.
    """

    def __init__(self, root: pathlib.Path, first_label: int):
        self.root = root
        self.first_label = first_label
        self.class_names: tuple[str, ...] = ()
        self.files = RealFiles()
        self._before = os.path.join(root, "")
        self._absolute = os.path.join(os.path.abspath(root), "")

    def scan(
        self, path: pathlib.Path
    ) -> Iterator[tuple[Entry | None, ListProblem | None]]:
        """Yields the entries of one list and all that is wrong with it.

        Each item is an entry, or a problem, or both where an entry has no file.
        """
        try:
            lines = _lines(path)
        except (OSError, UnicodeDecodeError) as error:
            what = f"cannot read the list {path}: {error}"
            yield None, ListProblem("unreadable_list", what)
            return
        seen = {}
        for number, line in enumerate(lines, start=1):
            line = line.strip()
            if not line:
                continue
            written, _, label = line.rpartition(" ")
            name = self._plain(written.strip())
            where = f"{path}, line {number}"
            if not name or not label.isdecimal() or name.count("/") < 2:
                what = (
                    f"expected '<domain>/<class>/<image> <label>', got {line!r}"
                )
                yield None, ListProblem("bad_line", f"{where}: {what}")
                continue
            on_disk = self.files.on_disk(self.path_of(name))
            if on_disk is not None:
                name = on_disk.removeprefix(self._before)
            if name in seen:
                what = f"{name} is in this list already, in line {seen[name]}"
                yield None, ListProblem("listed_twice", f"{where}: {what}")
                continue
            seen[name] = number
            problem = None
            if on_disk is None:
                what = (
                    f"there is no file {self.path_of(name)}{self._hint(name)}"
                )
                problem = ListProblem("no_file", f"{where}: {what}")
            yield (name, int(label) - self.first_label, number), problem
        if not seen:
            what = f"the list {path} names no image"
            yield None, ListProblem("empty_list", what)

    def path_of(self, name: str) -> str:
        """Returns the path of an image; one elsewhere is absolute already."""
        # `os.path.isabs` takes longer than all else here.
        absolute = name[0] == "/" or (os.name == "nt" and os.path.isabs(name))
        return name if absolute else self._before + name

    def _plain(self, name: str) -> str:
        """Returns a path in the one way that it is compared in."""
        if name[:1] not in (".", "/") and "/." not in name and "//" not in name:
            return name  # as nearly all are
        return posixpath.normpath(name).removeprefix(self._absolute)

    def _hint(self, name: str) -> str:
        bare = self._plain(name.strip("\"'"))
        if bare != name and self.files.on_disk(self.path_of(bare)):
            return ", but without the quotation marks there is"
        return ""

    def read(self, path: pathlib.Path) -> list[Entry]:
        """Reads one list.

        Returns:
            Its entries, in order.

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
            {label for entries in lists.values() for _, label, _ in entries}
        )
        if labels == list(range(len(labels))):
            return lists
        number_of = {label: i for i, label in enumerate(labels)}
        return {
            path: [(n, number_of[label], line) for n, label, line in entries]
            for path, entries in lists.items()
        }

    def wrong_labels(
        self, lists: Lists
    ) -> Iterator[tuple[pathlib.Path, str, int, int]]:
        """Finds the classes of all lists, then labels that contradict them.

        Yields:
            (list, relative path, label, expected label), labels as written.
        """
        expected = _labels_of_classes(lists.values())
        self.class_names = tuple(sorted(expected, key=expected.get))
        for path, entries in lists.items():
            for name, label, _ in entries:
                right = expected[class_folder(name)]
                if label != right:
                    first = self.first_label
                    yield path, name, label + first, right + first

    def examples(self, entries, domain_id: int) -> Examples:
        """Returns the entries of one list as examples of one domain."""
        return Examples.make(
            (self.path_of(name) for name, _, _ in entries),
            [label for _, label, _ in entries],
            domain_id,
        )

    def find(self, entries: Iterable[Entry]) -> Found:
        """Returns the files of entries, by whatever path they are named."""
        return self.files.find(self.path_of(name) for name, _, _ in entries)

    def without(
        self, entries: Sequence[Entry], others: Sequence[Entry]
    ) -> list[Entry]:
        """Returns the entries whose images the others do not name."""
        taken = self.find(others).identities()
        names = {name for name, _, _ in others}  # where inodes say nothing
        found = self.find(entries)
        identities = zip(found.devices, found.inodes, strict=True)
        return [
            entry
            for entry, identity in zip(entries, identities, strict=True)
            if entry[0] not in names and identity not in taken
        ]

    def check_apart(
        self,
        lists: Lists,
        domain_of: Mapping[pathlib.Path, str],
        target: str,
        may_share: Collection[frozenset[pathlib.Path]] = (),
    ) -> None:
        """Checks that no image is in two places, nor one of another domain's.

        An image is a file, whatever link or spelling names it.

        Args:
            lists: All of a run.
            domain_of: {list: its domain}, of these and other domains.
            target: The domain that is held out.
            may_share: Pairs of lists that may name the same image.

        Raises:
            UserError: With list and line.
        """
        flat = [entry for entries in lists.values() for entry in entries]
        of_list = [
            path
            for path, entries in lists.items()
            for path in [path] * len(entries)
        ]
        owners = [
            domain
            for path, entries in lists.items()
            for domain in [domain_of[path]] * len(entries)
        ]
        found = self.find(flat)
        homes = self.homes(owners, found, domain_of.values())
        for i in strangers(found, owners, homes):
            name, _, line = flat[i]
            raise UserError(
                f"{of_list[i]}, line {line}: {name} is an image of another "
                f"domain, in {found.folders[i]}, not of {owners[i]!r}; remove "
                "the line"
            )
        _check_each_once(flat, of_list, found, may_share)
        outside = np.asarray([domain == target for domain in owners], bool)
        self._check_hard_links(flat, of_list, found, outside)

    def homes(
        self,
        owners: Sequence[str],
        found: Found,
        domains: Iterable[str],
    ) -> dict[str, str]:
        """Returns {domain: real path of the folder that its images lie in}.

        That is the folder of its name; where there is none, or none of its
        images in it, the folder that most of them are in.

        Args:
            owners: The domain whose list names each image.
            found: The images.
            domains: All domains, those without such a list too.
        """
        homes = {
            domain: os.path.realpath(self.root / domain)
            for domain in domains
            if (self.root / domain).is_dir()
        }
        counts = collections.defaultdict(collections.Counter)
        pairs = collections.Counter(zip(owners, found.folders, strict=True))
        for (domain, folder), count in pairs.items():
            if folder:
                counts[domain][folder] = count
        named = set(homes.values())
        for domain, folders in counts.items():
            home = homes.get(domain)
            if home and any(is_below(folder, home) for folder in folders):
                continue
            parents = collections.Counter()
            for folder, count in folders.items():
                parents[os.path.dirname(folder)] += count
            if parents and (usual := parents.most_common(1)[0][0]) not in named:
                homes[domain] = usual
        return homes

    def _check_hard_links(self, flat, of_list, found, outside) -> None:
        """Raises UserError if a source's image is one of the target's folder.

        The target's lists need not name it.
        """
        folders = {found.folders[i] for i in np.flatnonzero(outside)}
        held_out = {}
        for folder in folders:
            held_out |= self.files.identities_in(folder)
        for i in np.flatnonzero(~outside):
            same = held_out.get((found.devices[i], found.inodes[i]))
            if same:
                name, _, line = flat[i]
                raise UserError(
                    f"{of_list[i]}, line {line}: {name} is the same file as "
                    f"{same}, an image of the target; remove the line"
                )

    def unlisted(self, lists: Lists) -> LeftOut:
        """Returns the images beside listed ones that no list names.

        Args:
            lists: Those of the sources.
        """
        left_out = LeftOut()
        named = collections.defaultdict(set)
        for entries in lists.values():
            for path, _, _ in entries:
                folder, _, name = path.rpartition("/")
                named[folder].add(name)
        for folder, names in named.items():
            for name in self.files.names_in(self.path_of(folder)):
                if name not in names and not is_hidden(name, folder=False):
                    reason = "unlisted" if is_image(name) else "not_images"
                    left_out.add(reason, f"{folder}/{name}")
        return left_out


def _lines(path: pathlib.Path) -> list[str]:
    contents = path.read_bytes()
    encoding, mark = encoding_of(contents)
    if encoding != "utf-8":
        raise OSError(f"it is {encoding.upper()}; save it as UTF-8")
    # Other line breaks of Unicode may be in a name.
    return re.split("\r\n|\n|\r", contents[mark:].decode("utf-8"))


def _check_each_once(flat, of_list, found, may_share) -> None:
    """Raises UserError if an image is in two lists, or in one list twice."""
    wrong = []
    for positions in same_files(found):
        for number, second in enumerate(positions):
            for first in positions[:number]:
                if (
                    frozenset((of_list[first], of_list[second]))
                    not in may_share
                ):
                    wrong.append((first, second))
    if not wrong:
        return
    first, second = wrong[0]
    name, _, line = flat[first]
    again, _, there = flat[second]
    other = f" as {again}" if again != name else ""
    if of_list[first] == of_list[second]:
        raise UserError(
            f"{of_list[second]}, line {there}: {again} is in this list "
            f"already, in line {line}"
            + (f" as {name}: they are the same file" if other else "")
        )
    raise UserError(
        f"{name} is in {of_list[first]}, line {line}, and in "
        f"{of_list[second].name}, line {there}{other}: the splits must not "
        f"share images ({len(wrong)} do)"
    )


def _labels_of_classes(lists: Iterable[Sequence[Entry]]) -> dict[str, int]:
    """Returns each class folder's label, from 0."""
    pairs = collections.Counter(
        (class_folder(name), label)
        for entries in lists
        for name, label, _ in entries
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
    return nfc(name.rsplit("/", 2)[-2])


def wrong_label_text(
    path: pathlib.Path, name: str, label: int, expected: int
) -> str:
    """Returns the words for a label that contradicts its folder."""
    return (
        f"{path}: {name} has the label {label}, but class "
        f"{class_folder(name)!r} has {expected}"
    )
