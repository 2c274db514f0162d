"""The three kinds of neurons that masks make (Sec. 7.1)."""

from collections.abc import Sequence

import numpy as np

from dmg_tf.console.bar import Bar
from dmg_tf.errors import DamagedFile
from dmg_tf.studies.runs import Run
from dmg_tf.studies.table import Cell, Row, Table

KINDS = ("off everywhere", "shared", "domain-specific")
ALL_SITES = "all"


def kinds_of_neurons(binary_masks: np.ndarray) -> dict[str, float]:
    """Returns the share of each kind among the units of a layer.

    Paper: Sec. 7.1: off under every source's mask, on under every one, and on
    under some only. Differs: nothing.

    Args:
        binary_masks: [D, F] of 0 and 1, soft masks thresholded at 0.5.

    Returns:
        {kind: fraction}, which add up to 1.
    """
    domains_on = np.asarray(binary_masks).sum(axis=0)
    off = float(np.mean(domains_on == 0))
    shared = float(np.mean(domains_on == len(binary_masks)))
    return dict(zip(KINDS, (off, shared, 1.0 - off - shared), strict=True))


def read_kinds(run: Run) -> dict[str, dict[str, float]]:
    """Returns {site: {kind: fraction}} of a run's selected model.

    "all" is of the units of all masked layers together.

    Raises:
        UserError: If the model is missing or cannot be read.
    """
    from dmg_tf.runs.folder import load_run_model

    model = load_run_model(run.run_dir)
    masks = {
        site: mask.binary_masks.numpy()
        for site, mask in model.domain_masks.items()
    }
    masks[ALL_SITES] = np.concatenate(list(masks.values()), axis=1)
    return {site: kinds_of_neurons(mask) for site, mask in masks.items()}


def neurons(runs: Sequence[Run]) -> list[Table]:
    """Returns the table of kinds: a group a method and target, a row a site.

    Reads the model of every run that has masks.
    """
    masked = [run for run in runs if run.results["mask_iou"]]
    shares_of: dict[tuple, dict[str, list[dict[str, float]]]] = {}
    if not masked:
        return []
    with Bar("reading masks", len(masked), "models") as bar:
        for run in masked:
            key = run.config["backbone"], run.label, run.target
            sites = shares_of.setdefault(key, {})
            try:
                kinds = read_kinds(run)
            except DamagedFile as error:
                bar.print(f"left out of the kinds of neurons: {error}")
                kinds = {}
            for site, shares in kinds.items():
                sites.setdefault(site, []).append(shares)
            bar.advance()
    rows = [
        Row(
            f"{backbone}, {label}, target {target}",
            site,
            {kind: Cell.of(s[kind] for s in shares) for kind in KINDS},
        )
        for (backbone, label, target), sites in shares_of.items()
        for site, shares in sites.items()
    ]
    if not rows:
        return []
    title = "Kinds of neurons (% of the units of a masked layer's input)"
    return [Table("neurons", title, KINDS, tuple(rows), "masked layer")]
