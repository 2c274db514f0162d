"""As what datasets were published: their files, and how many images."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence

from dmg_tf.data.datasets.walk import Walk
from dmg_tf.data.names import plain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """What a dataset of folders holds as it was published.

    Attributes:
        title: What it is called.
        images: {what a domain's folder is called in the copies that there are:
            its images}. Capitals, blanks and `_` do not matter.
        classes: How many there are.
    """

    title: str
    images: Mapping[tuple[str, ...], int]
    classes: int

    def recognises(self, root: pathlib.Path) -> bool:
        """Returns whether a folder holds these domains and no others."""
        try:
            names = [plain(name) for name in Walk(root).folders()]
        except OSError:
            return False
        known = [set(map(plain, spellings)) for spellings in self.images]
        return len(names) == len(known) and all(
            not spellings.isdisjoint(names) for spellings in known
        )

    def note(
        self, images: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> tuple[str, ...]:
        """Returns in one line what differs; () if nothing does.

        Args:
            images: {domain: {class: its images}}, of some domains.
        """
        words = self.differences(images)
        if not words:
            return ()
        return (f"not as {self.title} was published: {'; '.join(words)}",)

    def differences(
        self, images: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> list[str]:
        """Returns what differs, as `note`."""
        words = []
        for domain, classes in images.items():
            expected = self._images_of(domain)
            found = sum(map(len, classes.values()))
            if expected is None:
                words.append(f"{domain} is none of its domains")
            elif found != expected:
                words.append(f"{domain} has {found:,} images, not {expected:,}")
        names = {name for classes in images.values() for name in classes}
        if len(names) != self.classes:
            words.append(f"{len(names)} classes, not {self.classes}")
        return words

    def _images_of(self, domain: str) -> int | None:
        for spellings, count in self.images.items():
            if plain(domain) in map(plain, spellings):
                return count
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file that a dataset is published as.

    Attributes:
        name: What it is called in the dataset's folder, and on a mirror.
        page: Where a person finds it.
        url: Its address; None where a person has to ask for it, as Google
            Drive wants for large files.
        size: Bytes; None where that is not known.
        checksum: "md5:" or "sha256:" and hexadecimal digits; None where none
            is known.
        folders: Of an archive (zip or tar, compressed or not), {folder in it:
            what it becomes in the dataset's folder}; "" is all of it. What is
            in no such folder is left out. {} of a file that stays as it is.
    """

    name: str
    page: str
    url: str | None = None
    size: int | None = None
    checksum: str | None = None
    folders: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def gives(self) -> tuple[str, ...]:
        """What of the dataset's folder it fills."""
        return tuple(self.folders.values()) or (self.name,)
