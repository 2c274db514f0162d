"""What a dataset is to the rest of the package; loads nothing heavy."""

import codecs
import dataclasses
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dmg_tf.data.datasets.published import Published, PublishedFile
from dmg_tf.errors import UserError

if TYPE_CHECKING:
    from dmg_tf.data.examples import DomainData

SPLITS = TRAIN, VALIDATION, TEST = ("train", "validation", "test")
# {what a table or a folder calls a split, in small letters: the split}.
SPLIT_NAMES: Mapping[str, str] = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "crossval": VALIDATION,
    "test": TEST,
    "testing": TEST,
}

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
# Of images that no paper has settings for.
OWN_PRESETS: Mapping[str, Any] = {**PAPER_PRESETS, "recipe": "by_size"}


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
        return self.evidence(root) is not None

    def evidence(self, root: pathlib.Path) -> pathlib.Path | None:
        """Returns a list to learn from that names images of its domain.

        A text file of that name alone is none: it may be a note.
        """
        for domain in sorted(self._domains(root, self.words[0])):
            if self._is_list(root, domain, self.words[0]):
                return self.path(root, domain, self.words[0])
        return None

    def domains(self, root: str | pathlib.Path) -> tuple[str, ...]:
        """Returns the sorted names of the domains that can be learned from.

        Raises:
            UserError: If there is no list of any.
        """
        root = pathlib.Path(root)
        domains = self._listed(root, self.words[:1])
        if not domains:
            path = self.path(root, "<domain>", self.words[0])
            raise UserError(f"there are no lists {path}")
        return domains

    def listed_domains(self, root: pathlib.Path) -> tuple[str, ...]:
        """Returns the sorted names of the domains that have any list."""
        return self._listed(root, self.words)

    def domain_of_lists(self, root: pathlib.Path) -> dict[pathlib.Path, str]:
        """Returns {list: its domain}, whether all of them are there or not."""
        return {
            self.path(root, domain, word): domain
            for domain in self.listed_domains(root)
            for word in self.words
        }

    def strays(self, root: pathlib.Path) -> list[pathlib.Path]:
        """Returns the files that are called as lists and are of no domain."""
        known = self._real(root, self.words)
        return [
            self.path(root, name, word)
            for word in self.words
            for name in sorted(self._domains(root, word) - known)
        ]

    def _listed(self, root, words) -> tuple[str, ...]:
        """Returns the domains of some lists, less what is no list."""
        real = self._real(root, words)
        # If none is, the first error says what is wrong with one.
        return tuple(
            sorted(
                real or set().union(*(self._domains(root, w) for w in words))
            )
        )

    def _real(self, root, words) -> set[str]:
        return {
            domain
            for word in words
            for domain in self._domains(root, word)
            if (root / domain).is_dir() or self._is_list(root, domain, word)
        }

    def _is_list(self, root, domain: str, word: str) -> bool:
        named = named_images(self.path(root, domain, word))
        if (root / domain).is_dir():
            return bool(named)
        entries = filter(None, map(_ENTRY.fullmatch, named))
        paths = [entry[1] for entry in entries]
        return any(
            domain in path.split("/") or not (root / path).exists()
            for path in paths[:1]
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


# A line of a list, and one that names an image at all.
_ENTRY = re.compile(r"(\S.*/.*/.*\S)\s+\d+")
_IMAGE = re.compile(r"\.(jpe?g|jpe|jfif|png|bmp|gif|webp|tiff?)\b", re.I)
_HEAD_BYTES = 2**16
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32 begins as UTF-16 does.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(contents: bytes) -> tuple[str, int]:
    """Returns the encoding that a text's mark says, and the mark's length."""
    for mark, encoding in _MARKS:
        if contents.startswith(mark):
            return encoding, len(mark)
    return "utf-8", 0


def named_images(path: pathlib.Path) -> list[str]:
    """Returns the lines at the beginning of a file that name an image.

    Args:
        path: The file; one that can't be read names none.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return []
    encoding, _ = encoding_of(head)
    lines = re.split(r"[\r\n]+", head.decode(encoding, "replace"))
    stripped = (line.strip("\ufeff \t") for line in lines)
    return [line for line in stripped if _IMAGE.search(line)]


def _never(root: pathlib.Path) -> bool:
    del root
    return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """All that is particular to a dataset.

    Attributes:
        title: What tables call it.
        load: (root, target, sources, seed) -> the data of a run. `target`
            is None where no domain is held out, `sources` for all domains but
            the target; no image is opened.
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
        published: How many images there should be in DIR/<domain>/...; None
            where that is not known.
        splits_in_words: How images are split, for people; may have two lines.
        files: What `dmg-tf data get` gets, into one folder that `load` reads;
            () where it does not know.
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
    published: Published | None = None
    splits_in_words: str = (
        "10 % of each class and domain select the epoch, drawn by --seed; the "
        "target is scored on all images."
    )
    files: tuple[PublishedFile, ...] = ()
