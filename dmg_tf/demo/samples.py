"""Pictures of a run's own data, to try a model with."""

import dataclasses
import os
import pathlib

from dmg_tf.data.images.formats import open_image
from dmg_tf.errors import UserError
from dmg_tf.evaluation.samples import choose_few
from dmg_tf.rules import rules_of
from dmg_tf.runs.folder import RESULTS, read_results
from dmg_tf.runs.predictions import FILE_NAME, OUT_OF_DOMAIN, read_predictions

# What browsers show, and what they call it.
_KINDS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "WEBP": "image/webp",
    "BMP": "image/bmp",
}


@dataclasses.dataclass(frozen=True)
class Sample:
    """A picture that the page offers.

    Attributes:
        path: The file.
        kind: Its content type.
        title: What it shows: class and domain.
    """

    path: str
    kind: str
    title: str


def find_samples(folder: str | pathlib.Path, max_bytes: int) -> list[Sample]:
    """Returns a few of the images that a run was scored on, if there are any.

    They are the target's that its report shows under each mask, right and
    wrong ones; without a target the sources'.

    Args:
        folder: A run folder, or an exported model, which has none.
        max_bytes: Size of the largest file.
    """
    folder = pathlib.Path(folder)
    if not (folder / RESULTS).exists():
        return []
    try:
        results = read_results(folder)
        for split in (OUT_OF_DOMAIN, results["in_domain_split"]):
            scored = read_predictions(
                folder / FILE_NAME, results["class_names"], split
            )
            if len(scored.paths):
                break
    except (UserError, FileNotFoundError, LookupError):
        return []  # of another version, or damaged: the page does without
    if not len(scored.paths):
        return []
    predictions, samples = scored.predictions, []
    seed = results["config"].get("seed", 0)
    for i in choose_few(predictions, rules_of(results), seed):
        kind = _kind_of(scored.paths[i], max_bytes)
        if kind is not None:
            label = results["class_names"][predictions.labels[i]]
            domain = scored.domains[max(predictions.domain_ids[i], 0)]
            title = f"{label}, {domain}"
            samples.append(Sample(scored.paths[i], kind, title))
    return samples


def _kind_of(path, max_bytes) -> str | None:
    """Returns the content type of a file that can be shown, else None."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > max_bytes:
            return None
        with open_image(path) as image:
            return _KINDS.get(image.format)
    except Exception:  # Pillow raises many kinds
        return None
