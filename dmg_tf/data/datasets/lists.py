"""Datasets that come with official lists of their splits: PACS, DomainNet."""

import dataclasses
import pathlib
from collections.abc import Sequence

from dmg_tf.data.datasets.folder import pick_domains, some, split_by_seed
from dmg_tf.data.datasets.list_reader import ListReader
from dmg_tf.data.examples import (
    DomainData,
    Examples,
    check_domain_data,
    lacking_classes,
)
from dmg_tf.errors import UserError

PACS_SUFFIX = "_train_kfold.txt"
DOMAINNET_SUFFIX = "_train.txt"


def pacs_list(root: pathlib.Path, domain: str, split: str) -> pathlib.Path:
    """Returns where PACS keeps a list: of train, crossval or test."""
    return root / "splits" / f"{domain}_{split}_kfold.txt"


def domainnet_list(root: pathlib.Path, domain: str, split: str) -> pathlib.Path:
    """Returns where DomainNet keeps a list: of train, val or test."""
    return root / f"{domain}_{split}.txt"


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
        return pacs_list(root, domain, split)

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
        complete=False,
    )
    return _checked(data)


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
        return domainnet_list(root, domain, split)

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
        complete=False,
    )
    return _checked(data)


def _checked(data: DomainData) -> DomainData:
    """Returns the data, with a note on classes that a source lacks."""
    check_domain_data(data)
    notes = tuple(
        f"the training list of {domain} has no image of "
        f"{some(names)}; other sources teach it"
        for domain, names in lacking_classes(data).items()
    )
    return dataclasses.replace(data, notes=data.notes + notes)


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
