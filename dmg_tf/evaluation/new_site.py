"""Images of a site alone, for a model that has not seen it."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from dmg_tf.data import check_data, detect_dataset
from dmg_tf.data.datasets.listing import list_domain
from dmg_tf.data.datasets.walk import Walk
from dmg_tf.data.examples import DomainData, Examples, first_few
from dmg_tf.data.names import double_of, nfc
from dmg_tf.data.same_files import RealFiles, check_each_once
from dmg_tf.errors import UserError
from dmg_tf.registry import DATASETS


def has_labels(root: str, results: Mapping[str, Any]) -> bool:
    """Returns whether a folder's own folders may say what its images show.

    A class, or a domain, that is spelled otherwise than the model's may be
    meant by it: that is told as a mistake, and not taken for no labels.

    Args:
        root: The folder, or a table.
        results: What the run's `results.json` holds.

    Raises:
        UserError: If there is no such folder.
    """
    if not check_data(root, "--data ").is_dir():
        return True
    classes = results["class_names"]
    known = (*classes, *results["source_domains"])
    walk = Walk(root)
    try:
        outer = walk.folders()
        inner = {each for name in outer for each in walk.folders(name)}
        labelled = _any_of(outer, known) or _any_of(inner, classes)
        if labelled or not walk.has_image(""):
            return True
    except OSError:
        return True  # what can't be read is told by who reads it
    return not DATASETS[detect_dataset("auto", root)].fallback


def _any_of(names, known) -> bool:
    return any(
        name in known or double_of(name, known) for name in map(nfc, names)
    )


def site_alone(
    root: str, target: str, results: Mapping[str, Any]
) -> DomainData | None:
    """Lists a folder that holds a new site and no domain of the model.

    That is DIR/<class>/<image>, or DIR/<site>/<class>/<image>. Classes are told
    by their names; images of others are counted and left out.

    Args:
        root: The folder.
        target: The site among several; if there is none of that name, the only
            one.
        results: What the run's `results.json` holds.

    Returns:
        The site's images as the target, and no others; None where the folder
        has a domain that the model learned from. No image is opened.

    Raises:
        UserError: If it holds several sites and none is named, or no image of
            a class that the model knows.
    """
    walk = Walk(root)
    folders = {nfc(name): name for name in walk.folders()}
    classes, sources = results["class_names"], results["source_domains"]
    if folders.keys() & set(sources):
        return None
    walk = Walk(root)  # what lies beside the site is not left out of it
    if folders.keys() & set(classes):
        folder = pathlib.Path(root).resolve()
        walk, site, name = Walk(folder.parent), nfc(folder.name), folder.name
    else:
        site, name = _site_among(walk, folders, target, root, sources)
    listing = list_domain(walk, name)
    known = [label for label, each in enumerate(classes) if each in listing]
    unknown = {c: len(i) for c, i in listing.items() if c not in classes}
    if not known:
        raise UserError(
            f"the site {site!r} in {root} has no images of a class that the "
            f"model knows: it knows {first_few(classes)}; the site has "
            f"{first_few(sorted(unknown)) or 'none'}"
        )
    parts = [
        Examples.make(
            (os.path.join(walk.root, image) for image in listing[classes[i]]),
            [i] * len(listing[classes[i]]),
            -1,
        )
        for i in known
    ]
    examples = Examples.concatenate(parts)
    check_each_once(examples.paths, RealFiles().find(examples.paths))
    notes = walk.left_out.note()
    if unknown:
        notes += (
            f"{sum(unknown.values())} images of {site} are of "
            f"{first_few(sorted(unknown))}, which the model does not know: "
            "they are left out",
        )
    nothing = Examples.concatenate([])
    return DomainData(
        tuple(classes),
        tuple(sources),
        site,
        nothing,
        nothing,
        None,
        examples,
        notes,
        unknown,
    )


def _site_among(walk, folders, target, root, sources) -> tuple[str, str]:
    """Returns the site in a folder of sites: its name, and its folder."""
    found = [name for name in folders if walk.has_image(folders[name])]
    if target in found:
        return target, folders[target]
    if len(found) == 1:
        return found[0], folders[found[0]]
    if not found:
        raise UserError(
            f"{root} holds no image; expected DIR/<class>/<image> of one site"
        )
    raise UserError(
        f"{root} has none of the domains that the model learned from "
        f"({', '.join(sources)}), and several others: name one of "
        f"{', '.join(sorted(found))} by --target"
    )
