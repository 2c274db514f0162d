"""DomainBed's split of any dataset: 80/20 of each domain, at random by seed."""

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from dmg_tf.data.datasets.spec import SPLITS, DatasetSpec
from dmg_tf.data.domains import as_known, pick_domains
from dmg_tf.data.examples import DomainData, Examples, checked, notes_on_names
from dmg_tf.errors import UserError

HOLDOUT_FRACTION = 0.2


def domainbed_split(
    count: int, seed: int, domain: int
) -> tuple[list[int], list[int]]:
    """Splits one domain as DomainBed does.

    facebookresearch/DomainBed: `split_dataset` and `seed_hash` of lib/misc.py,
    as scripts/train.py calls them.

    Args:
        count: Images of the domain, in the order of torchvision's
            `ImageFolder`.
        seed: DomainBed's `--trial_seed`.
        domain: The domain's number among all of the dataset, in alphabetical
            order.

    Returns:
        Positions of the in-split (80 %) and of the out-split, each in rising
        order.
    """
    digest = hashlib.md5(
        str((seed, domain)).encode(), usedforsecurity=False
    ).hexdigest()
    keys = list(range(count))
    np.random.RandomState(int(digest, 16) % 2**31).shuffle(keys)
    held_out = int(count * HOLDOUT_FRACTION)
    return sorted(keys[held_out:]), sorted(keys[:held_out])


def load(
    spec: DatasetSpec,
    root: str | None,
    target: str | None,
    sources: Sequence[str] | None = None,
    seed: int = 0,
) -> DomainData:
    """Reads a dataset and splits it as DomainBed does, whatever its own splits.

    The sources' in-splits are learned from, and their out-splits select the
    epoch (training-domain validation). The target is scored on its in-split, as
    in DomainBed's tables (`test_acc` of model_selection.py); its out-split is
    not used. Each split is DomainBed's to the image where the images end in
    .jpg, .jpeg, .png, .bmp, .tif, .tiff or .webp, and its folders are those of
    the dataset.

    Args:
        spec: The dataset.
        root: Its folder; None where it is built in.
        target: The domain that is held out; None for none.
        sources: The domains to train on; None for all others.
        seed: Seed of the split, DomainBed's `--trial_seed`.

    Raises:
        UserError: As the dataset's own `load`, and if a domain has too few
            images.
    """
    known = spec.domains(root)
    target = target and as_known(target, known)
    sources = pick_domains(known, target, sources, str(root or spec.title))
    run = (*sources, *([target] if target else []))
    # Of what is learned from, every image is in one of the splits.
    whole = spec.load(root, None, run, seed)
    parts = []
    for number, domain in enumerate(run):
        images = _in_order(whole, number)
        if int(len(images) * HOLDOUT_FRACTION) < 1:
            raise UserError(
                f"the domain {domain!r} has {len(images)} images, and "
                f"--split domainbed holds out {HOLDOUT_FRACTION:.0%} of each "
                "domain: it needs 5 or more"
            )
        place = known.index(domain)
        split = domainbed_split(len(images), seed, place)
        parts.append([images.select(np.asarray(part)) for part in split])
    inside, outside = zip(*parts[: len(sources)], strict=True)
    notes = [n for n in whole.notes if n not in notes_on_names(whole)]
    scored = unused = Examples.concatenate([])
    if target:
        scored, unused = parts[-1]
        notes.append(
            f"split as DomainBed does: of {target}, {len(scored)} images (80 "
            f"%) are scored and {len(unused)} are not used"
        )
    of_target = Examples.concatenate([scored, unused])
    data = DomainData(
        whole.class_names,
        whole.source_domains[: len(sources)],
        whole.source_domains[-1] if target else None,
        Examples.concatenate(inside),
        Examples.concatenate(outside),
        None,
        Examples.make(of_target.paths, of_target.labels, -1),
        tuple(notes),
    )
    # A class that the target alone has may be in its out-split alone.
    return checked(data, apart=True).without(unused.paths)


def _in_order(data: DomainData, domain: int) -> Examples:
    """Returns all images of a source in `ImageFolder`'s order.

    That is by class, then by folder, then by name.
    """
    examples = Examples.concatenate(
        [part for s in SPLITS if (part := getattr(data, s)) is not None]
    )
    own = np.flatnonzero(examples.domain_ids == domain)
    order = sorted(
        own.tolist(),
        key=lambda i: (
            data.class_names[examples.labels[i]],
            *os.path.split(examples.paths[i]),
        ),
    )
    return examples.select(np.asarray(order, np.int64))
