"""What a dataset is to the rest of the package; loads nothing heavy."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dmg_tf.errors import UserError

if TYPE_CHECKING:
    from dmg_tf.data.examples import DomainData

SPLITS = TRAIN, VALIDATION, TEST = ("train", "validation", "test")

# Sec. 7.5, for PACS; other datasets differ from it where they say so.
PAPER_PRESETS: Mapping[str, Any] = {
    "epochs": 50,
    "batch_size": 64,
    "image_size": 224,
    "learning_rate": 1e-4,
    "weight_decay": 1e-5,
    "schedule": "exponential",
    "classifier_init": "pytorch",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListLayout:
    """Where a dataset keeps the lists of its splits, and what they mean.

    Attributes:
        path: Returns a list's path from root, domain and the split's word;
            the domain is in it once.
        words: A split's word in the names of the lists, in `SPLITS`' order.
        first_label: Label of the first class.
        needs_validation: Whether the validation list must be there; it is
            drawn by seed otherwise.
        test_is_all: Whether the test list is the whole domain.
    """

    path: Callable[[pathlib.Path, str, str], pathlib.Path]
    words: tuple[str, str, str]
    first_label: int
    needs_validation: bool
    test_is_all: bool

    def recognises(self, root: pathlib.Path) -> bool:
        """Returns whether there is a list to learn from."""
        return bool(self._domains(root, self.words[0]))

    def domains(self, root: str | pathlib.Path) -> tuple[str, ...]:
        """Returns the sorted names of the domains that can be learned from.

        Raises:
            UserError: If there is no list of any.
        """
        domains = self._domains(pathlib.Path(root), self.words[0])
        if not domains:
            path = self.path(pathlib.Path(root), "<domain>", self.words[0])
            raise UserError(f"there are no lists {path}")
        return tuple(sorted(domains))

    def listed_domains(self, root: pathlib.Path) -> tuple[str, ...]:
        """Returns the sorted names of the domains that have any list."""
        return tuple(
            sorted(set().union(*(self._domains(root, w) for w in self.words)))
        )

    def _domains(self, root: pathlib.Path, word: str) -> set[str]:
        pattern = self.path(root, "*", word).relative_to(root).as_posix()
        before, _, after = pattern.partition("*")
        return {
            path.relative_to(root)
            .as_posix()
            .removeprefix(before)
            .removesuffix(after)
            for path in root.glob(pattern)
        }


def _never(root: pathlib.Path) -> bool:
    del root
    return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """All that is particular to a dataset.

    Attributes:
        title: What tables call it.
        load: (root, target, sources, seed) -> the data of a run. `sources`
            is None for all domains but the target; no image is opened.
        domains: (root) -> the domains' names, sorted; opens no image.
        presets: General settings that a run takes unless told otherwise.
        recognises: (folder) -> whether it looks like this dataset, which is
            then what `--dataset auto` stands for.
        fallback: Whether it is what a folder is read as that none recognises.
        built_in: Whether it needs no folder; `root` is then None.
        augment: What `--augment paper` means, a name in `AUGMENTATIONS`.
        weights: What `--weights auto` means, "imagenet" or "none".
        layout: Where its lists are; None where the images lie in
            DIR/<domain>/<class>/<image> and every domain must have every class.
        splits_in_words: How images are split, for people; may have two lines.
    """

    title: str
    load: Callable[..., "DomainData"]
    domains: Callable[[str | None], tuple[str, ...]]
    presets: Mapping[str, Any]
    recognises: Callable[[pathlib.Path], bool] = _never
    fallback: bool = False
    built_in: bool = False
    augment: str = "crop_and_jitter"
    weights: str = "imagenet"
    layout: ListLayout | None = None
    splits_in_words: str = (
        "10 % of each class and domain select the epoch, drawn by --seed; the "
        "target is scored on all images."
    )
