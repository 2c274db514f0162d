"""What files a checked dataset has: listing folders, reporting strays."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator

import numpy as np

from dmg_tf.data.check.problems import Problems
from dmg_tf.data.datasets.folder import (
    IMAGE_SUFFIXES,
    list_images,
    subfolders,
    validation_count,
)
from dmg_tf.data.images.formats import foreign_format, open_image
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


def scan_folder(root: pathlib.Path, problems: Problems) -> Inventory:
    """Lists DIR/<domain>/<class>/<image>, as `folder.load` does.

    Args:
        root: The folder.
        problems: Where to report what is wrong.

    Returns:
        The images; a folder without images is no domain of it.
    """
    listed, others = {}, []
    folders = subfolders(root)
    for domain in folders:
        listed[domain] = {}
        for name in _readable_subfolders(root, domain):
            images, rest = list_images(root / domain / name)
            others += [f"{domain}/{name}/{file}" for file in rest]
            if images:
                listed[domain][name] = images
        if not listed[domain]:
            problems.add("empty_domain", domain)
    listed = {domain: classes for domain, classes in listed.items() if classes}
    names, domain_ids, labels = [], [], []
    class_names = sorted(
        {name for classes in listed.values() for name in classes}
    )
    for domain_id, (domain, classes) in enumerate(listed.items()):
        for name, images in classes.items():
            names += [f"{domain}/{name}/{image}" for image in images]
            domain_ids += [domain_id] * len(images)
            labels += [class_names.index(name)] * len(images)
    inventory = Inventory(
        tuple(listed),
        tuple(class_names),
        names=names,
        domain_ids=np.asarray(domain_ids, np.int32),
        labels=np.asarray(labels, np.int32),
        roles=np.zeros(len(names), np.int32),
        others=others,
    )
    images = inventory.images()
    held_out = np.vectorize(validation_count, otypes=[np.int64])(images)
    inventory.counts = np.stack([images - held_out, held_out], axis=-1)
    for name in walk(root, problems):
        if name.count("/") < 2 and is_image(name):
            problems.add("misplaced", name)
    return inventory


def walk(root: pathlib.Path, problems: Problems) -> Iterator[str]:
    """Yields the relative paths of all visible files; reports hidden ones."""

    def report(error: OSError):
        path = os.path.relpath(error.filename, root)
        problems.add("unreadable_folder", f"{path}: {error.strerror}")

    base = os.fspath(root)
    for parent, folders, files in os.walk(
        base, onerror=report, followlinks=True
    ):
        prefix = parent[len(base) :].strip(os.sep).replace(os.sep, "/")
        prefix = prefix and prefix + "/"
        # Neither a domain nor a class begins with two underscores.
        skip = (".", "__") if prefix.count("/") < 2 else (".",)
        for name in sorted(folders):
            if name.startswith(skip):
                problems.add("hidden", f"{prefix}{name}/")
        folders[:] = sorted(n for n in folders if not n.startswith(skip))
        for name in sorted(files):
            if name.startswith("."):
                problems.add("hidden", prefix + name)
            else:
                yield prefix + name


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


def is_image(name: str) -> bool:
    """Says whether a file is an image by its suffix."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


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


def _readable_subfolders(root, domain) -> list[str]:
    try:
        return subfolders(root / domain)
    except UserError:
        # `walk` reports it, with the reason.
        return []
