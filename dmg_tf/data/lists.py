"""Datasets that come with official lists of their splits: PACS, DomainNet."""

import os
import pathlib
from collections.abc import Sequence

from dmg_tf.data.examples import DomainData, Examples, check_domain_data
from dmg_tf.data.folder import pick_domains, split_by_seed
from dmg_tf.errors import UserError

PACS_SUFFIX = "_train_kfold.txt"
DOMAINNET_SUFFIX = "_train.txt"


class ListReader:
    """Reads lists of "relative/path label" lines and checks every line.

    Classes are the folders that hold the images, in alphabetical order; a
    label must be the position of its folder's name, counted from
    `first_label`.

    Args:
        root: The folder that paths are relative to.
        first_label: Label of the first class: 1 in PACS, 0 in DomainNet.
    """

    def __init__(self, root: pathlib.Path, first_label: int):
        self.root = root
        self.first_label = first_label
        self.class_names: tuple[str, ...] = ()
        self._files: dict[str, frozenset[str]] = {}

    def read(self, path: pathlib.Path) -> list[tuple[str, int]]:
        """Reads one list.

        Returns:
            (relative path, label from 0) in the order of the list.

        Raises:
            UserError: If the list is missing or empty, or a line is malformed,
                names a missing file, or names a file twice. The message gives
                list and line.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read the list {path}: {error}") from error
        entries, seen = [], {}
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            name, _, label = line.strip().rpartition(" ")
            where = f"{path}, line {number}"
            name = name.strip()
            if not name or not label.isdigit() or name.count("/") < 2:
                raise UserError(
                    f"{where}: expected '<domain>/<class>/<image> <label>', "
                    f"got {line.strip()!r}"
                )
            if name in seen:
                raise UserError(
                    f"{where}: {name} is in this list already, in line "
                    f"{seen[name]}"
                )
            seen[name] = number
            if not self._exists(name):
                raise UserError(f"{where}: there is no file {self.root / name}")
            entries.append((name, int(label) - self.first_label))
        if not entries:
            raise UserError(f"the list {path} names no image")
        return entries

    def read_all(
        self, paths: Sequence[pathlib.Path]
    ) -> dict[pathlib.Path, list[tuple[str, int]]]:
        """Reads all lists of a run, then checks labels against folders.

        Raises:
            UserError: As `read`, and if a label is not its class folder's.
        """
        lists = {path: self.read(path) for path in paths}
        names = {
            name.split("/")[-2]
            for entries in lists.values()
            for name, _ in entries
        }
        self.class_names = tuple(sorted(names))
        expected = {name: i for i, name in enumerate(self.class_names)}
        for path, entries in lists.items():
            for name, label in entries:
                class_name = name.split("/")[-2]
                if label != expected[class_name]:
                    raise UserError(
                        f"{path}: {name} has the label "
                        f"{label + self.first_label}, but class "
                        f"{class_name!r} has "
                        f"{expected[class_name] + self.first_label}"
                    )
        return lists

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


def load_pacs(
    root: str | pathlib.Path,
    target: str,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Reads PACS with its official splits (Sec. 4.1).

    `DIR/splits/<domain>_{train,crossval,test}_kfold.txt`: sources learn from
    `train` and select on `crossval`; the target is scored on `test`, which is
    all of its images. PACS has no in-domain test split.

    Args:
        root: The folder.
        target: The domain that is held out.
        sources: The domains to train on; None for all others.
        seed: Not used: the splits are given.

    Raises:
        UserError: If a list is missing or wrong; see `ListReader`.
    """
    del seed
    root = pathlib.Path(root)
    splits = root / "splits"
    known = _listed_domains(splits, PACS_SUFFIX)
    sources = pick_domains(known, target, sources, str(splits))

    def place(domain, split):
        return splits / f"{domain}_{split}_kfold.txt"

    reader = ListReader(root, first_label=1)
    lists = reader.read_all(
        [place(d, s) for d in sources for s in ("train", "crossval")]
        + [place(target, "test")]
    )
    for domain in sources:
        _check_apart(lists, place(domain, "train"), place(domain, "crossval"))

    def joined(split):
        return Examples.concatenate(
            [
                reader.examples(lists[place(domain, split)], index)
                for index, domain in enumerate(sources)
            ]
        )

    data = DomainData(
        "pacs",
        reader.class_names,
        sources,
        target,
        joined("train"),
        joined("crossval"),
        None,
        reader.examples(lists[place(target, "test")], -1),
    )
    check_domain_data(data)
    return data


def load_domainnet(
    root: str | pathlib.Path,
    target: str,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Reads DomainNet with its official splits (Sec. 4.1).

    `DIR/<domain>_{train,test}.txt`, labels from 0. Each source's training list
    is split 90/10 by class into training and validation, unless
    `DIR/<domain>_val.txt` names the validation images; sources are scored on
    their test lists, and so is the target.

    Args:
        root: The folder.
        target: The domain that is held out.
        sources: The domains to train on; None for all others.
        seed: Seed of the 90/10 split.

    Raises:
        UserError: If a list is missing or wrong; see `ListReader`.
    """
    root = pathlib.Path(root)
    known = _listed_domains(root, DOMAINNET_SUFFIX)
    sources = pick_domains(known, target, sources, str(root))

    def place(domain, split):
        return root / f"{domain}_{split}.txt"

    given = [d for d in sources if place(d, "val").exists()]
    reader = ListReader(root, first_label=0)
    lists = reader.read_all(
        [place(d, s) for d in sources for s in ("train", "test")]
        + [place(d, "val") for d in given]
        + [place(target, "test")]
    )
    train, validation, test = [], [], []
    for index, domain in enumerate(sources):
        entries = lists[place(domain, "train")]
        _check_apart(lists, place(domain, "train"), place(domain, "test"))
        if domain in given:
            held_out = lists[place(domain, "val")]
            listed = {name for name, _ in held_out}
            # Lists in circulation give validation images in `train` too.
            entries = [entry for entry in entries if entry[0] not in listed]
        else:
            entries, held_out = _split_by_class(entries, seed)
        train.append(reader.examples(entries, index))
        validation.append(reader.examples(held_out, index))
        test.append(reader.examples(lists[place(domain, "test")], index))
    data = DomainData(
        "domainnet",
        reader.class_names,
        sources,
        target,
        Examples.concatenate(train),
        Examples.concatenate(validation),
        Examples.concatenate(test),
        reader.examples(lists[place(target, "test")], -1),
    )
    check_domain_data(data)
    return data


def _split_by_class(entries, seed):
    by_label = {}
    for entry in entries:
        by_label.setdefault(entry[1], []).append(entry)
    train, validation = [], []
    for label in sorted(by_label):
        of_class = by_label[label]
        keep, hold = split_by_seed([name for name, _ in of_class], seed)
        train += [of_class[i] for i in keep]
        validation += [of_class[i] for i in hold]
    return train, validation


def _listed_domains(folder: pathlib.Path, suffix: str) -> list[str]:
    found = sorted(
        path.name.removesuffix(suffix) for path in folder.glob("*" + suffix)
    )
    if not found:
        raise UserError(f"there are no lists {folder}/<domain>{suffix}")
    return found


def _check_apart(lists, first: pathlib.Path, second: pathlib.Path) -> None:
    both = {name for name, _ in lists[first]} & {n for n, _ in lists[second]}
    if both:
        raise UserError(
            f"{min(both)} is in {first} and in {second.name}: the splits must "
            f"not share images ({len(both)} do)"
        )
