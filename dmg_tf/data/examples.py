"""Labelled images of a run: by split, domain and class."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dmg_tf.data.names import check_names, twin_note
from dmg_tf.data.same_files import RealFiles, check_each_once
from dmg_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Examples:
    """Labelled images of one split, in a fixed order.

    Attributes:
        paths: Files, as text.
        labels: int32 [N], index into the class names.
        domain_ids: int32 [N], index into the source domains; -1 for images of
            the target domain.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    domain_ids: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, index: np.ndarray) -> "Examples":
        """Returns the examples at these positions, in their order."""
        return Examples(
            tuple(self.paths[i] for i in index),
            self.labels[index],
            self.domain_ids[index],
        )

    @classmethod
    def concatenate(cls, parts: Sequence["Examples"]) -> "Examples":
        """Returns the examples of all parts, one after the other."""
        if not parts:
            return cls.make((), [], -1)
        return cls(
            tuple(path for part in parts for path in part.paths),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.domain_ids for part in parts]),
        )

    @classmethod
    def make(cls, paths: Iterable[str], labels, domain_id: int) -> "Examples":
        """Returns examples of a single domain."""
        paths = tuple(paths)
        return cls(
            paths,
            np.asarray(labels, np.int32).reshape(len(paths)),
            np.full(len(paths), domain_id, np.int32),
        )


@dataclasses.dataclass(frozen=True)
class DomainData:
    """What a run trains and is scored on.

    Attributes:
        class_names: Labels are indices into these.
        source_domains: Domain ids are indices into these.
        target_domain: The domain training never sees; None where all are
            learned from.
        train: Source images to learn from.
        validation: Source images that select the epoch.
        test: Source images held out for scoring, or None where the dataset
            has none; in-domain accuracy is then measured on `validation`.
        out_of_domain: The target's images that are scored.
        notes: Lines for the user, on what was left out while reading.
        unknown_classes: {class that the target alone has: its images}; they
            are neither learned from nor scored.
    """

    class_names: tuple[str, ...]
    source_domains: tuple[str, ...]
    target_domain: str | None
    train: Examples
    validation: Examples
    test: Examples | None
    out_of_domain: Examples
    notes: tuple[str, ...] = ()
    unknown_classes: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def held_out(self) -> tuple[str, ...]:
        """The target domain, if there is one."""
        return () if self.target_domain is None else (self.target_domain,)

    @property
    def in_domain_split(self) -> str:
        """Name of the split that in-domain accuracy is measured on."""
        return "validation" if self.test is None else "test"

    @property
    def in_domain(self) -> Examples:
        """The examples that in-domain accuracy is measured on."""
        return self.validation if self.test is None else self.test

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns the number of images by split and domain."""
        counts = {"train": {}, "validation": {}}
        if self.test is not None:
            counts["test"] = {}
        for split in counts:
            ids = getattr(self, split).domain_ids
            for index, domain in enumerate(self.source_domains):
                counts[split][domain] = int(np.sum(ids == index))
        counts["out_of_domain"] = {
            name: len(self.out_of_domain) for name in self.held_out
        }
        return counts

    def without(self, bad_paths: Iterable[str]) -> "DomainData":
        """Returns the data without some images.

        Raises:
            UserError: If a split or a source's class is left empty.
        """
        bad = frozenset(bad_paths)
        changes = {}
        for split in ("train", "validation", "test", "out_of_domain"):
            examples = getattr(self, split)
            if examples is not None:
                keep = [i for i, p in enumerate(examples.paths) if p not in bad]
                changes[split] = examples.select(np.asarray(keep, np.int64))
        data = dataclasses.replace(self, **changes)
        if len(self.train):  # else it is a site alone
            _check_splits(data)
        return data


def lacking_classes(data: DomainData) -> dict[str, list[str]]:
    """Returns {source: classes it has no training image of}, if it lacks any.

    Args:
        data: The images.
    """
    lacking = {}
    for index, domain in enumerate(data.source_domains):
        labels = data.train.labels[data.train.domain_ids == index]
        counts = np.bincount(labels, minlength=len(data.class_names))
        if not counts.all():
            lacking[domain] = [
                data.class_names[i] for i in np.flatnonzero(counts == 0)
            ]
    return lacking


def checked(data: DomainData, apart: bool = False) -> DomainData:
    """Returns what a reader has read, if a run can learn from it.

    Images of classes that the target alone has are counted and left out. Notes
    say so, and name the classes that a source lacks, and names that differ in
    upper case alone: they are one folder on other systems.

    Args:
        data: What was read.
        apart: Whether the reader has made sure that no file is there twice.

    Raises:
        UserError: If a split or a class to learn holds no image, a file is
            there twice by whatever path, or a name can't be.
    """
    data = _without_unknown(data)
    _check(data, apart)
    notes = data.notes + notes_on_names(data)
    return dataclasses.replace(data, notes=notes)


def notes_on_names(data: DomainData) -> tuple[str, ...]:
    """Returns what `checked` notes on classes and on names."""
    lacking = tuple(
        f"{domain} has no image of {first_few(names)} to learn from; other "
        "sources teach it"
        for domain, names in lacking_classes(data).items()
    )
    unknown = ()
    if data.unknown_classes:
        count = sum(data.unknown_classes.values())
        unknown = (
            f"{count} images of {data.target_domain} are of "
            f"{first_few(list(data.unknown_classes))}, which no source "
            "teaches: they are left out",
        )
    domains = (*data.source_domains, *data.held_out)
    twins = (
        *twin_note("domains", domains),
        *twin_note("classes", data.class_names),
    )
    return lacking + unknown + twins


def _without_unknown(data: DomainData) -> DomainData:
    """Returns the data without the classes that its target alone has."""
    splits = {
        name: split
        for name in ("train", "validation", "test", "out_of_domain")
        if (split := getattr(data, name)) is not None
    }
    number = len(data.class_names)
    counts = {
        name: np.bincount(split.labels, minlength=number)
        for name, split in splits.items()
    }
    outside = counts.pop("out_of_domain")
    unknown = (outside > 0) & (sum(counts.values()) == 0)
    if not unknown.any() or unknown.all():
        return data
    new_label = np.cumsum(~unknown) - 1
    kept = {}
    for name, split in splits.items():
        split = split.select(np.flatnonzero(~unknown[split.labels]))
        kept[name] = dataclasses.replace(
            split, labels=new_label[split.labels].astype(np.int32)
        )
    names = np.asarray(data.class_names, object)
    return dataclasses.replace(
        data,
        class_names=tuple(names[~unknown]),
        unknown_classes={
            str(names[i]): int(outside[i]) for i in np.flatnonzero(unknown)
        },
        **kept,
    )


def first_few(names: Sequence[str], count: int = 3) -> str:
    """Returns the first few names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(map(repr, names[:count])) + more


def _check(data: DomainData, apart: bool) -> None:
    check_names("domain", (*data.source_domains, *data.held_out))
    check_names("class", data.class_names)
    _check_splits(data)
    if not apart:
        splits = (data.train, data.validation, data.test, data.out_of_domain)
        paths = [
            p for split in splits if split is not None for p in split.paths
        ]
        check_each_once(paths, RealFiles().find(paths))


def _check_splits(data: DomainData) -> None:
    """Raises UserError where a split or a class to learn holds no image."""
    if len(data.class_names) < 2:
        raise UserError(
            f"there is nothing to tell apart: the only class is "
            f"{data.class_names[0]!r}; give two or more class folders in each "
            "domain"
        )
    for index, domain in enumerate(data.source_domains):
        for split in ("train", "validation"):
            examples = getattr(data, split)
            labels = examples.labels[examples.domain_ids == index]
            if not len(labels):
                why = ""
                if split == "validation" and not len(data.validation):
                    why = (
                        ": a class needs two images in each source, one to "
                        "learn from and one to select the epoch by"
                    )
                raise UserError(
                    f"the source domain {domain!r} has no images for {split}"
                    f"{why}"
                )
    _check_classes(data)
    if data.held_out and not len(data.out_of_domain):
        apart = ""
        if data.unknown_classes:
            names = list(data.unknown_classes)
            apart = (
                f" of a class that the sources have; its classes are "
                f"{first_few(names)}"
            )
        raise UserError(
            f"the target domain {data.target_domain!r} has no images{apart}"
        )


def _check_classes(data: DomainData) -> None:
    learned = set(data.train.labels.tolist())
    for label, name in enumerate(data.class_names):
        if label not in learned:
            raise UserError(
                f"no source domain has a training image of class {name!r}; "
                "nothing can be learned of it"
            )
