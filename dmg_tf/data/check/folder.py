"""What files a checked dataset has: listing folders, reporting strays."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from dmg_tf.data.check.problems import Problems
from dmg_tf.data.datasets.folder import (
    domain_folders,
    real_homes,
    validation_count,
)
from dmg_tf.data.datasets.listing import (
    Splits,
    holds_splits,
    list_splits,
    mixed_in_words,
    splits_in_words,
    together,
)
from dmg_tf.data.datasets.published import Published
from dmg_tf.data.datasets.spec import SPLITS, TEST, TRAIN, VALIDATION
from dmg_tf.data.datasets.walk import LeftOut, Walk
from dmg_tf.data.images.formats import foreign_format, open_image
from dmg_tf.data.names import are_splits, check_names, twins
from dmg_tf.data.same_files import RealFiles, same_files, strangers
from dmg_tf.errors import UserError

# Images all the same, of formats that are not read.
_FOREIGN_SUFFIXES = frozenset(
    ".heic .heif .avif .jxl .jp2 .j2k .ppm .pgm .pbm .pnm .tga .dcm .dng .cr2 "
    ".nef .arw .exr .psd .svg".split()
)
_HEAD_BYTES = 132


@dataclasses.dataclass
class Inventory:
    """The images that training would use, before any is opened.

    Attributes:
        domains: Names.
        class_names: Names of the class folders, sorted.
        splits: What `counts` counts.
        names: Relative paths with "/", N of them.
        domain_ids: int32 [N], index into `domains`.
        labels: int32 [N], index into `class_names`.
        roles: int32 [N], index into `splits`: what the image is used for when
            its domain is a source. All 0 where that is drawn by seed.
        counts: int64 [domains, classes, splits].
        others: Relative paths of files that are no images by their suffix.
    """

    domains: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train", "validation")
    names: list[str] = dataclasses.field(default_factory=list)
    domain_ids: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(0, np.int32)
    )
    labels: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(0, np.int32)
    )
    roles: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros(0, np.int32)
    )
    counts: np.ndarray = dataclasses.field(
        default_factory=lambda: np.zeros((0, 0, 2), np.int64)
    )
    others: list[str] = dataclasses.field(default_factory=list)

    def images(self) -> np.ndarray:
        """Returns the number of images, int64 [domains, classes]."""
        shape = (len(self.domains), len(self.class_names))
        flat = self.domain_ids.astype(np.int64) * shape[1] + self.labels
        return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)

    def count(self) -> None:
        """Counts images by role; those of validation that are to be drawn too.

        Where no domain has any for `test`, there is no such split.
        """
        self.splits = SPLITS
        shape = (len(self.domains), len(self.class_names), len(SPLITS))
        self.counts = np.zeros(shape, np.int64)
        np.add.at(self.counts, (self.domain_ids, self.labels, self.roles), 1)
        drawn = SPLITS.index(VALIDATION)
        for counts in self.counts:
            if not counts[:, drawn].any():
                counts[:, drawn] = [
                    validation_count(int(n)) for n in counts[:, 0]
                ]
                counts[:, 0] -= counts[:, drawn]
        if not self.counts[..., SPLITS.index(TEST)].any():
            self.splits = SPLITS[:2]
            self.counts = self.counts[..., :2]


def scan_folder(
    root: pathlib.Path,
    problems: Problems,
    published: Published | None = None,
) -> Inventory:
    """Lists the images of a dataset of folders, as `folder.load` does.

    Args:
        root: The folder.
        problems: Where to report what is wrong.
        published: How many images there should be.

    Returns:
        The images; a folder without images is no domain of it.
    """
    walk = Walk(root)
    # Without any folder it has no images: told as what is wrong with it.
    folders = domain_folders(walk, root) if _has_folders(root) else {}
    listed: dict[str, Splits] = {}
    for domain, folder in folders.items():
        try:
            splits = list_splits(walk, folder)
        except UserError as error:
            reason = str(error).rpartition(": ")[2]
            walk.left_out.add("unreadable_folder", f"{folder}: {reason}")
            continue
        if not any(splits.values()):
            problems.add("empty_domain", f"{folder}/")
            continue
        if holds_splits(splits.get("", {})):
            problems.add("split_folders", splits_in_words(folder, splits[""]))
        listed[domain] = splits
    mixed = mixed_in_words("", listed)
    if mixed and "split_folders" not in problems:
        problems.add("split_folders", mixed)
    if are_splits(tuple(listed)):
        problems.add("split_domains", ", ".join(listed))
    classes = {domain: together(splits) for domain, splits in listed.items()}
    if published is not None:
        for words in published.differences(classes):
            problems.add("other_counts", words)
    _report_names(classes, problems)
    report_left_out(walk.left_out, problems)
    inventory = _index(listed, walk.left_out)
    report_same_files(root, inventory, problems, real_homes(root, folders))
    return inventory


def _has_folders(root) -> bool:
    try:
        return any(path.is_dir() for path in root.iterdir())
    except OSError:
        return True  # why it can't be read is told by whoever reads it


def _index(listed: Mapping[str, Splits], left_out) -> Inventory:
    names, domain_ids, labels, roles = [], [], [], []
    class_names = sorted(
        {
            name
            for splits in listed.values()
            for classes in splits.values()
            for name in classes
        }
    )
    for domain_id, splits in enumerate(listed.values()):
        for split, classes in splits.items():
            for name, images in classes.items():
                names += images
                domain_ids += [domain_id] * len(images)
                labels += [class_names.index(name)] * len(images)
                roles += [SPLITS.index(split or TRAIN)] * len(images)
    inventory = Inventory(
        tuple(listed),
        tuple(class_names),
        names=names,
        domain_ids=np.asarray(domain_ids, np.int32),
        labels=np.asarray(labels, np.int32),
        roles=np.asarray(roles, np.int32),
        others=left_out.names.get("not_images", []),
    )
    inventory.count()
    return inventory


def _report_names(listed, problems) -> None:
    """Reports names that can't be, and those that some systems hold for one."""
    classes = list(dict.fromkeys(n for names in listed.values() for n in names))
    for kind, names in (("domain", list(listed)), ("class", classes)):
        for name in names:
            try:
                check_names(kind, [name])
            except UserError as error:
                problems.add("bad_name", str(error))
    for group in twins(listed):
        problems.add("case_twins", " = ".join(group))
    for domain, names in listed.items():
        for group in twins(names):
            problems.add("case_twins", f"{domain}: {' = '.join(group)}")


def report_left_out(left_out: LeftOut, problems: Problems) -> None:
    """Reports what a walk left out but other files, which are looked into."""
    for reason, names in left_out.names.items():
        if reason != "not_images":
            for name in sorted(names):
                problems.add(reason, name)


def report_same_files(
    root: pathlib.Path,
    inventory: Inventory,
    problems: Problems,
    homes: Mapping[str, str],
) -> None:
    """Reports what links do: images by several paths, or of another domain.

    Args:
        root: The folder.
        inventory: The images.
        problems: Where to report.
        homes: {domain: real path of its folder}.
    """
    names = inventory.names
    found = RealFiles().find(os.path.join(root, name) for name in names)
    owners = [inventory.domains[i] for i in inventory.domain_ids]
    for i in strangers(found, owners, homes):
        problems.add("other_domain", f"{names[i]} by a link")
    for positions in same_files(found):
        problems.add("same_file", " = ".join(names[i] for i in positions))


def walk_all(root: pathlib.Path, problems: Problems) -> Iterator[str]:
    """Yields the relative paths of all visible files; reports what is not."""
    walk = Walk(root)
    yield from sorted(walk.files())
    report_left_out(walk.left_out, problems)


def report_others(
    root: pathlib.Path, inventory: Inventory, problems: Problems, fast: bool
) -> None:
    """Reports files that are left out, and images among them.

    Args:
        root: The folder.
        inventory: Which files they are.
        problems: Where to report.
        fast: Whether to go by the suffix alone.
    """
    for name in inventory.others:
        suffix = os.path.splitext(name)[1].lower()
        if suffix in _FOREIGN_SUFFIXES:
            problems.add("other_suffix", name)
            continue
        kind = None if fast else _image_format(root / name)
        if kind:
            problems.add("other_suffix", f"{name} is {kind}")
        else:
            problems.add("not_images", name)


def _image_format(path: pathlib.Path) -> str | None:
    try:
        with open(path, "rb") as file:
            foreign = foreign_format(file.read(_HEAD_BYTES))
        if foreign:
            return foreign
        with open_image(path) as image:
            return image.format
    except Exception:  # Pillow raises many kinds
        return None
