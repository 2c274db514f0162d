"""Where datasets keep the lists of their splits, and what these mean."""

import dataclasses
import pathlib
from collections.abc import Callable

from dmg_tf.data.datasets.lists import domainnet_list, pacs_list

SPLITS = TRAIN, VALIDATION, TEST = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class ListLayout:
    """Where a dataset keeps its lists, and what they mean.

    Attributes:
        place: Returns a list's path from root, domain and the split's word.
        words: A split's word in the names of the lists, in `SPLITS`' order.
        first_label: Label of the first class.
        needs_validation: Whether the validation list must be there; it is
            drawn by seed otherwise.
        test_is_all: Whether the test list is the whole domain.
    """

    place: Callable[[pathlib.Path, str, str], pathlib.Path]
    words: tuple[str, str, str]
    first_label: int
    needs_validation: bool
    test_is_all: bool

    def domains(self, root: pathlib.Path) -> tuple[str, ...]:
        """Returns all domains that have a list."""
        found = set()
        for word in self.words:
            pattern = self.place(root, "*", word)
            tail = pattern.name.removeprefix("*")
            for path in pattern.parent.glob(pattern.name):
                found.add(path.name.removesuffix(tail))
        return tuple(sorted(found))


LAYOUTS = {
    "pacs": ListLayout(pacs_list, ("train", "crossval", "test"), 1, True, True),
    "domainnet": ListLayout(
        domainnet_list, ("train", "val", "test"), 0, False, False
    ),
}
