"""A folder of domains: which images there are, and how they are split."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence

from dmg_tf.data.examples import DomainData, Examples, check_domain_data
from dmg_tf.errors import UserError, unknown_name

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .bmp .gif .webp .tif .tiff".split()
)
VALIDATION_SHARE = 0.1


def pick_domains(
    known: Sequence[str], target: str, sources: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    """Returns the source domains of a run, in order.

    Args:
        known: The dataset's domains.
        target: The domain that is held out.
        sources: The domains asked for, or None for all but the target.
        where: What the domains were read from, for error messages.

    Raises:
        UserError: If a name is unknown, the target is among the sources, a
            source is named twice, or fewer than two sources are left.
    """
    for name in (target, *(sources or ())):
        if name not in known:
            raise unknown_name(f"domain in {where}", name, known)
    picked = tuple(sources or (name for name in known if name != target))
    if target in picked:
        raise UserError(
            f"the target {target!r} is among the sources {', '.join(picked)}; "
            "leave it out, training must not see it"
        )
    if len(set(picked)) != len(picked):
        raise UserError(f"a source domain is given twice: {', '.join(picked)}")
    if len(picked) < 2:
        raise UserError(
            f"DMG needs at least two source domains besides the target "
            f"{target!r}, got {', '.join(picked) or 'none'} in {where}"
        )
    return picked


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

    A name's place is the SHA-256 of seed and name, so the split is the same on
    every machine, and an added image does not move the others far.

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


def load(
    root: str | pathlib.Path,
    target: str,
    sources: Sequence[str] | None = None,
    seed: int = 0,
    dataset: str = "folder",
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
        dataset: Name to report.

    Returns:
        The data of the run. No image is opened.

    Raises:
        UserError: If the folder does not hold what is described above.
    """
    root = pathlib.Path(root)
    domains = subfolders(root)
    where = str(root)
    if not domains:
        raise UserError(
            f"{root} has no folders; expected DIR/<domain>/<class>/<image>"
        )
    sources = pick_domains(domains, target, sources, where)
    listed = {d: _list_domain(root, d) for d in (*sources, target)}

    class_names = tuple(sorted({c for d in sources for c in listed[d].images}))
    for domain in sources:
        missing = [c for c in class_names if c not in listed[domain].images]
        if missing:
            raise UserError(
                f"the source domain {domain!r} has no images of class "
                f"{some(missing)}; every class must be in every source "
                f"domain (in {root / domain})"
            )
    unknown = [c for c in listed[target].images if c not in class_names]
    if unknown:
        raise UserError(
            f"the target domain {target!r} has the class {some(unknown)}, "
            "which no source domain has; nothing can be learned of it"
        )
    train, validation = [], []
    for domain_id, domain in enumerate(sources):
        for label, class_name in enumerate(class_names):
            names = listed[domain].images[class_name]
            paths = [f"{domain}/{class_name}/{name}" for name in names]
            for part, keep in zip(
                (train, validation), split_by_seed(paths, seed), strict=True
            ):
                kept = [os.path.join(where, paths[i]) for i in keep]
                part.append(Examples.make(kept, [label] * len(kept), domain_id))
    scored = [
        Examples.make(
            (os.path.join(where, target, name, image) for image in images),
            [class_names.index(name)] * len(images),
            -1,
        )
        for name, images in sorted(listed[target].images.items())
    ]
    others = [name for d in listed.values() for name in d.others]
    notes = ()
    if others:
        notes = (
            f"left out {len(others)} files that are no images: {some(others)}",
        )
    data = DomainData(
        dataset,
        class_names,
        sources,
        target,
        Examples.concatenate(train),
        Examples.concatenate(validation),
        None,
        Examples.concatenate(scored),
        notes,
    )
    check_domain_data(data)
    return data


@dataclasses.dataclass(frozen=True)
class _Listing:
    images: dict[str, list[str]]
    others: list[str]


def _list_domain(root: pathlib.Path, domain: str) -> _Listing:
    images, others = {}, []
    for class_name in subfolders(root / domain):
        found, rest = list_images(root / domain / class_name)
        others += [f"{domain}/{class_name}/{name}" for name in rest]
        if found:
            images[class_name] = found
    if not images:
        raise UserError(
            f"the domain {domain!r} has no images; expected "
            f"{root / domain}/<class>/<image> with one of the suffixes "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return _Listing(images, others)


def some(names: Sequence[str], count: int = 3) -> str:
    """Returns the first few names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(map(repr, names[:count])) + more
