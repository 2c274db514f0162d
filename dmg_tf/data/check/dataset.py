"""Says what a dataset holds, and all that is wrong with it, before training.

dmg-tf check DIR [--dataset NAME] [--fast] [--json]
"""

import pathlib
from typing import Any

from dmg_tf.console.bar import Bar
from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.data import check_data, detect_dataset
from dmg_tf.data.check.classes import report_classes
from dmg_tf.data.check.contents import (
    looks,
    report_copies,
    report_looks,
    report_unreadable,
)
from dmg_tf.data.check.folder import Inventory, report_others, scan_folder
from dmg_tf.data.check.images import examine
from dmg_tf.data.check.kinds import SEVERITIES
from dmg_tf.data.check.lists import scan_lists
from dmg_tf.data.check.problems import Problems
from dmg_tf.data.check.table import scan_table
from dmg_tf.registry import DATASETS


def check_dataset(
    root: str | pathlib.Path,
    dataset: str = "auto",
    fast: bool = False,
    max_examples: int = 3,
) -> dict[str, Any]:
    """Checks a folder of domains.

    Args:
        root: The folder.
        dataset: How to read it: one of `readable_as`.
        fast: Whether to leave all images closed: structure and lists only.
        max_examples: Examples to give of each kind of problem.

    Returns:
        The report, which JSON can hold: "domains" and "counts" have the
        numbers of images by domain, class and split, "looks" sizes and formats
        (none if `fast`), "problems" all kinds of problems, worst first, and
        "errors", "warnings", "notes" how many kinds of each there are.

    Raises:
        UserError: If there is no such folder, or it can't be read.
    """
    root = place = check_data(root)
    dataset = detect_dataset(dataset, str(root))
    spec = DATASETS[dataset]
    layout = spec.layout
    problems = Problems(max_examples)
    if place.is_file():
        inventory, root = scan_table(place, problems), place.parent
    elif layout is None:
        inventory = scan_folder(root, problems, spec.published)
    else:
        inventory = scan_lists(root, layout, problems)
    sizes_and_formats = {}
    # Of splits in the place of classes all the rest would mislead.
    misread = "split_folders" in problems or "split_domains" in problems
    if not misread:
        report_classes(inventory, problems, by_folder=layout is None)
    if not (fast or misread):
        sizes_and_formats = _open_all(root, inventory, problems)
    report_others(root, inventory, problems, fast)
    problem_rows = problems.as_json()
    return {
        "root": str(place),
        "dataset": dataset,
        "fast": fast,
        "class_names": list(inventory.class_names),
        "splits": list(inventory.splits),
        **_counts(inventory),
        "looks": sizes_and_formats,
        "problems": problem_rows,
        **{
            f"{severity}s": sum(p["severity"] == severity for p in problem_rows)
            for severity in SEVERITIES
        },
    }


def _open_all(root, inventory, problems) -> dict[str, Any]:
    load_tensorflow()
    with Bar("reading all images", len(inventory.names), "images") as bar:
        facts = examine(root, inventory.names, bar.advance)
    report_unreadable(root, inventory, facts, problems)
    report_copies(inventory, facts, problems)
    report_looks(inventory, facts, problems)
    return looks(inventory, facts)


def _counts(inventory: Inventory) -> dict[str, Any]:
    images, splits = inventory.images(), inventory.splits
    counts, domains = {}, {}
    for domain_id, domain in enumerate(inventory.domains):
        rows = inventory.counts[domain_id].tolist()
        counts[domain] = {
            name: {
                "images": int(images[domain_id, label]),
                **dict(zip(splits, rows[label], strict=True)),
            }
            for label, name in enumerate(inventory.class_names)
        }
        totals = inventory.counts[domain_id].sum(axis=0).tolist()
        domains[domain] = {
            "images": int(images[domain_id].sum()),
            **dict(zip(splits, totals, strict=True)),
        }
    return {"domains": domains, "counts": counts}
