"""A folder of domains: which images there are, and how they are split."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence

from dmg_tf.data.datasets.spec import PAPER_PRESETS, DatasetSpec
from dmg_tf.data.domains import pick_domains
from dmg_tf.data.examples import (
    DomainData,
    Examples,
    check_domain_data,
    first_few,
)
from dmg_tf.errors import UserError

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff".split()
)
VALIDATION_SHARE = 0.1


def list_images(folder: str | pathlib.Path) -> tuple[list[str], list[str]]:
    """Lists the files below a folder, hidden ones left out.

    Returns:
        Sorted relative paths, with "/" on every system: those with a suffix of
        an image, and the others.
    """
    images, others = [], []
    base = os.fspath(folder)
    for parent, folders, files in os.walk(base, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = os.path.relpath(parent, base).replace(os.sep, "/") + "/"
        prefix = "" if prefix == "./" else prefix
        for name in files:
            if not name.startswith("."):
                suffix = os.path.splitext(name)[1].lower()
                kind = images if suffix in IMAGE_SUFFIXES else others
                kind.append(prefix + name)
    return sorted(images), sorted(others)


def subfolders(folder: str | pathlib.Path) -> list[str]:
    """Returns the sorted names of the folders in a folder, hidden ones not.

    Raises:
        UserError: If the folder is missing or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.is_dir() and not entry.name.startswith((".", "__"))
            )
    except OSError as error:
        raise UserError(
            f"cannot read the folder {folder}: {error.strerror or error}; "
            "expected a folder of domains, DIR/<domain>/<class>/<image>"
        ) from error


def validation_count(count: int, share: float = VALIDATION_SHARE) -> int:
    """Returns how many of `count` images of a class select the epoch."""
    return max(1, round(share * count)) if count > 1 else 0


def split_by_seed(
    names: Sequence[str], seed: int, share: float = VALIDATION_SHARE
) -> tuple[list[int], list[int]]:
    """Splits one class of one domain into training and validation.

    A name's position is by the SHA-256 of seed and name, so the split is the
    same on every machine, and an added image does not move the others far.

    Args:
        names: Relative paths, the same text on every machine.
        seed: Another seed, another split.
        share: Part for validation; rounded, and at least one image when there
            are two or more.

    Returns:
        Positions for training and for validation, each in rising order.
    """
    digests = [
        hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape"))
        for name in names
    ]
    order = sorted(range(len(names)), key=lambda i: digests[i].digest())
    count = validation_count(len(names), share)
    return sorted(order[count:]), sorted(order[:count])


def domains(root: str | pathlib.Path) -> tuple[str, ...]:
    """Returns the names of the domains in a folder, sorted.

    Raises:
        UserError: If the folder is missing or holds no folders.
    """
    names = tuple(subfolders(root))
    if not names:
        raise UserError(
            f"{root} has no folders; expected DIR/<domain>/<class>/<image>"
        )
    return names


def load(
    root: str | pathlib.Path,
    target: str,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Reads DIR/<domain>/<class>/<image>.

    Each source is split 90/10 by class into training and validation; the whole
    target domain is scored. Classes are the class folders of the sources, in
    alphabetical order.

    Args:
        root: The folder.
        target: The domain that is held out.
        sources: The domains to train on; None for all others.
        seed: Seed of the split.

    Returns:
        The data of the run. No image is opened.

    Raises:
        UserError: If the folder does not hold what is described above.
    """
    root = pathlib.Path(root)
    sources = pick_domains(domains(root), target, sources, str(root))
    listings = {d: _list_domain(root, d) for d in (*sources, target)}
    class_names = tuple(
        sorted({name for d in sources for name in listings[d].images})
    )
    _check_classes(root, sources, target, class_names, listings)
    train, validation = _split(root, sources, class_names, listings, seed)
    scored = [
        Examples.make(
            (os.path.join(root, target, name, image) for image in images),
            [class_names.index(name)] * len(images),
            -1,
        )
        for name, images in sorted(listings[target].images.items())
    ]
    data = DomainData(
        class_names,
        sources,
        target,
        train,
        validation,
        None,
        Examples.concatenate(scored),
        _notes(listings),
    )
    check_domain_data(data)
    return data


@dataclasses.dataclass(frozen=True)
class _Listing:
    """The files of a domain: {class: names of images}, and the others."""

    images: dict[str, list[str]]
    others: list[str]


def _list_domain(root: pathlib.Path, domain: str) -> _Listing:
    images, others = {}, []
    for class_name in subfolders(root / domain):
        names, rest = list_images(root / domain / class_name)
        others += [f"{domain}/{class_name}/{name}" for name in rest]
        if names:
            images[class_name] = names
    if not images:
        raise UserError(
            f"the domain {domain!r} has no images; expected "
            f"{root / domain}/<class>/<image> with one of the suffixes "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return _Listing(images, others)


def _check_classes(root, sources, target, class_names, listings) -> None:
    """Raises UserError unless all sources have the same classes."""
    for domain in sources:
        missing = [c for c in class_names if c not in listings[domain].images]
        if missing:
            raise UserError(
                f"the source domain {domain!r} has no images of class "
                f"{first_few(missing)}; every class must be in every source "
                f"domain (in {root / domain})"
            )
    unknown = [c for c in listings[target].images if c not in class_names]
    if unknown:
        raise UserError(
            f"the target domain {target!r} has the class {first_few(unknown)}, "
            "which no source domain has; nothing can be learned of it"
        )


def _split(root, sources, class_names, listings, seed):
    """Returns the sources' examples for training and for validation."""
    train, validation = [], []
    for domain_id, domain in enumerate(sources):
        for label, class_name in enumerate(class_names):
            names = [
                f"{domain}/{class_name}/{name}"
                for name in listings[domain].images[class_name]
            ]
            for part, positions in zip(
                (train, validation), split_by_seed(names, seed), strict=True
            ):
                paths = [os.path.join(root, names[i]) for i in positions]
                labels = [label] * len(paths)
                part.append(Examples.make(paths, labels, domain_id))
    return Examples.concatenate(train), Examples.concatenate(validation)


def _notes(listings) -> tuple[str, ...]:
    others = [name for listing in listings.values() for name in listing.others]
    if not others:
        return ()
    return (
        f"left out {len(others)} files that are no images: {first_few(others)}",
    )


SPEC = DatasetSpec(
    title="Folder",
    load=load,
    domains=domains,
    fallback=True,
    # A folder of one's own is taken for PACS' like.
    presets=PAPER_PRESETS,
)
