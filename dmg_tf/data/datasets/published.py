"""The files that a dataset is published as."""

import dataclasses
from collections.abc import Mapping


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
