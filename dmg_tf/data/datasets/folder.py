"""A folder of domains: which images there are, and how they are split."""

import functools
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence

from dmg_tf.data.datasets.listing import (
    Splits,
    holds_splits,
    list_splits,
    mixed_in_words,
    splits_in_words,
    together,
)
from dmg_tf.data.datasets.published import Published, PublishedFile
from dmg_tf.data.datasets.spec import (
    OWN_PRESETS,
    PAPER_PRESETS,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    DatasetSpec,
)
from dmg_tf.data.datasets.walk import IMAGE_SUFFIXES, Walk
from dmg_tf.data.domains import pick_domains
from dmg_tf.data.examples import DomainData, Examples, checked
from dmg_tf.data.names import check_spelling, nfc
from dmg_tf.data.same_files import RealFiles, check_each_once, strangers
from dmg_tf.errors import UserError

VALIDATION_SHARE = 0.1
SPLITS_IN_WORDS = (
    "10 % of each class and domain select the epoch, drawn by --seed, where "
    "there is no folder\nof a validation split; the target is scored on a test "
    "split, or on all images."
)


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

    A folder without any image below it is none.

    Raises:
        UserError: If the folder is missing or holds no folders of images.
    """
    walk = Walk(root)
    return tuple(sorted(_with_images(walk, domain_folders(walk, root))))


def domain_folders(walk: Walk, root: str | pathlib.Path) -> dict[str, str]:
    """Returns {domain: its folder} of all folders in a dataset's.

    Args:
        walk: Of the dataset.
        root: Its folder, for error messages.

    Raises:
        UserError: If it can't be read, has no folders, or two of them are one
            name in two Unicode forms.
    """
    try:
        names = walk.folders()
    except OSError as error:
        raise UserError(
            f"cannot read the folder {root}: {error.strerror or error}; "
            "expected a folder of domains, DIR/<domain>/<class>/<image>"
        ) from error
    if not names:
        raise UserError(
            f"{root} has no folders; expected DIR/<domain>/<class>/<image>"
        )
    folders: dict[str, str] = {}
    for name in names:
        if nfc(name) in folders:
            raise UserError(
                f"two folders in {root} are called {nfc(name)!r}, in two "
                "Unicode forms; rename one"
            )
        folders[nfc(name)] = name
    return folders


def _with_images(walk: Walk, folders: Mapping[str, str]) -> list[str]:
    found = [name for name in folders if walk.has_image(folders[name])]
    if not found:
        raise UserError(
            f"no folder of {walk.root} holds an image; expected "
            "DIR/<domain>/<class>/<image> with one of the suffixes "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}"
        )
    return found


def load(
    root: str | pathlib.Path,
    target: str | None,
    sources: Sequence[str] | None = None,
    seed: int = 0,
    published: Published | None = None,
) -> DomainData:
    """Reads DIR/<domain>/<class>/<image>, or DIR/<domain>/<split>/<class>/...

    Each source is split 90/10 by class into training and validation; the whole
    target domain is scored. Where the domains hold splits, these are what the
    sources learn from and select on (10 % of train, where a source has no
    validation), they are scored on test if all of them have it, and the target
    is scored on test, or on all of it where it has none. Classes are the class
    folders of the sources, in alphabetical order; a source may lack some.

    Args:
        root: The folder.
        target: The domain that is held out; None for none.
        sources: The domains to train on; None for all others.
        seed: Seed of the split.
        published: How many images there should be; a note says what differs.

    Returns:
        The data of the run. No image is opened.

    Raises:
        UserError: If the folder does not hold what is described above.
    """
    walk = Walk(root)
    folders = domain_folders(walk, root)
    held_out = () if target is None else (nfc(target),)
    asked = {*held_out, *map(nfc, sources or ())}
    holding = _with_images(walk, folders)
    for name in sorted(folders.keys() - set(holding) - asked):
        walk.left_out.add("no_domain", f"{folders[name]}/")
    known = sorted({*holding, *(asked & folders.keys())})
    sources = pick_domains(known, target, sources, str(root))
    run = (*sources, *held_out)
    splits = {d: list_splits(walk, folders[d]) for d in run}
    for domain in run:
        _check_layout(root, domain, splits[domain])
    mixed = mixed_in_words(root, splits)
    if mixed:
        raise UserError(mixed)
    notes = walk.left_out.note()
    if published is not None:
        notes += published.note({d: together(splits[d]) for d in run})
    for domain in held_out:
        if splits[domain].get(TEST):
            splits[domain] = {TEST: splits[domain][TEST]}
    listings = {d: together(splits[d]) for d in run}
    class_names = tuple(sorted({n for d in run for n in listings[d]}))
    shut = walk.left_out.names.get("unreadable_folder", [])
    _check_classes(root, run, class_names, listings, shut)
    check_files(root, folders, listings)
    parts = [
        _split(root, splits[domain], index, class_names, seed)
        for index, domain in enumerate(sources)
    ]
    train, validation, test = (
        [part[split] for part in parts] for split in SPLITS
    )
    scored = [
        Examples.make(
            (os.path.join(root, image) for image in images),
            [class_names.index(name)] * len(images),
            -1,
        )
        for domain in held_out
        for name, images in sorted(listings[domain].items())
    ]
    data = DomainData(
        class_names,
        sources,
        *(held_out or (None,)),
        Examples.concatenate(train),
        Examples.concatenate(validation),
        Examples.concatenate(test) if all(map(len, test)) else None,
        Examples.concatenate(scored),
        notes,
    )
    return checked(data, apart=True)


def check_files(root, folders, listings) -> None:
    """Checks that no file is there twice or, by a link, another domain's.

    Args:
        root: The dataset's folder.
        folders: {domain: its folder}, of all of them.
        listings: {domain: {class: images, relative to the root}} of a run.

    Raises:
        UserError: With both files.
    """
    before = os.path.join(root, "")
    images = {
        domain: [before + i for images in listing.values() for i in images]
        for domain, listing in listings.items()
    }
    paths = [path for of_domain in images.values() for path in of_domain]
    found = RealFiles().find(paths)
    owners = [d for d, of_domain in images.items() for _ in of_domain]
    for i in strangers(found, owners, real_homes(root, folders)):
        raise UserError(
            f"{paths[i]} lies, by a link, in {found.folders[i]}, of another "
            f"domain: it may not count as one of {owners[i]!r}; remove the link"
        )
    check_each_once(paths, found)


def real_homes(root, folders: Mapping[str, str]) -> dict[str, str]:
    """Returns {domain: real path of its folder}."""
    return {
        domain: os.path.realpath(os.path.join(root, folder))
        for domain, folder in folders.items()
    }


def _check_layout(root, domain: str, splits: Splits) -> None:
    where = os.path.join(root, domain)
    if not any(splits.values()):
        raise UserError(
            f"the domain {domain!r} has no images; expected "
            f"{where}/<class>/<image> with one of the suffixes "
            f"{' '.join(sorted(IMAGE_SUFFIXES))}; --sources names the "
            "domains if this folder is none"
        )
    if holds_splits(splits.get("", {})):
        raise UserError(splits_in_words(where, splits[""]))


def _check_classes(root, domains, class_names, listings, shut) -> None:
    """Raises UserError where a class seems to be spelled in two ways, or lost.

    Lost is one that a domain lacks where there is a folder that can't be read.
    """
    check_spelling(
        {domain: listings[domain] for domain in domains},
        lambda domain: os.path.join(root, domain),
    )
    for domain in domains if shut else ():
        for name in class_names:
            if name not in listings[domain]:
                raise UserError(
                    f"the domain {domain!r} has no images of class {name!r} "
                    f"(in {os.path.join(root, domain)}); cannot read {shut[0]}"
                )


def _split(
    root, splits: Splits, domain_id: int, class_names, seed: int
) -> dict[str, Examples]:
    """Returns {split: examples} of a source; draws its validation by seed."""
    parts = {split: [] for split in SPLITS}
    drawn = not splits.get(VALIDATION)
    for label, class_name in enumerate(class_names):
        images = {s: splits.get(s, {}).get(class_name, []) for s in SPLITS}
        images[TRAIN] = images[TRAIN] or splits.get("", {}).get(class_name, [])
        if drawn:
            # Another Unicode form on disk is no other split.
            keep, hold = split_by_seed([nfc(i) for i in images[TRAIN]], seed)
            images[VALIDATION] = [images[TRAIN][i] for i in hold]
            images[TRAIN] = [images[TRAIN][i] for i in keep]
        for split, part in parts.items():
            paths = [os.path.join(root, image) for image in images[split]]
            labels = [label] * len(paths)
            part.append(Examples.make(paths, labels, domain_id))
    return {split: Examples.concatenate(part) for split, part in parts.items()}


def published_spec(
    published: Published, files: tuple[PublishedFile, ...] = ()
) -> DatasetSpec:
    """Returns the spec of a dataset that is read as a folder, and counted."""
    return DatasetSpec(
        title=published.title,
        load=functools.partial(load, published=published),
        domains=domains,
        recognises=published.recognises,
        presets=PAPER_PRESETS,
        published=published,
        splits_in_words=SPLITS_IN_WORDS,
        files=files,
    )


SPEC = DatasetSpec(
    title="Folder",
    load=load,
    domains=domains,
    fallback=True,
    presets=OWN_PRESETS,
    splits_in_words=SPLITS_IN_WORDS,
)
