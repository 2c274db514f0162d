"""Unpacking an archive into folders that appear whole or not at all."""

import contextlib
import lzma
import pathlib
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping

from dmg_tf.errors import DamagedFile, UserError, first_line
from dmg_tf.files import whole_folder, writing

_DAMAGES = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # of a zip's kinds of compression
    RuntimeError,  # of a zip that wants a password
)


def unpack(
    archive: pathlib.Path,
    root: pathlib.Path,
    folders: Mapping[str, str],
    advance: Callable[[int], None],
) -> None:
    """Unpacks folders of an archive; each takes its place when all are whole.

    Args:
        archive: A zip or tar file, compressed or not, whatever its name.
        root: What they become folders of.
        folders: As of a `PublishedFile`; those that are there stay.
        advance: Called with the number of the archive's bytes that are done.

    Raises:
        UserError: If the archive is damaged, leads out of the folder or has
            other folders, or there is no room.
    """
    new = {
        inside: name
        for inside, name in folders.items()
        if not (root / name).exists()
    }
    with writing(root), contextlib.ExitStack() as stack:
        places = {
            inside: stack.enter_context(whole_folder(root / name))
            for inside, name in new.items()
        }
        with _naming_damage(archive):
            for name, is_file, source in _entries(archive, advance):
                _check_name(archive, name)
                place = _place(name, places)
                if place is None:
                    continue
                if not is_file:
                    raise UserError(
                        f"{archive} is not unpacked: {name!r} in it is a link "
                        "or a device"
                    )
                place.parent.mkdir(parents=True, exist_ok=True)
                with source() as file, open(place, "wb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)
        for inside, place in places.items():
            if not place.exists():
                raise UserError(
                    f"{archive} has no folder {inside!r}; it is another file "
                    "than the one that is meant"
                )


def unpacked_size(archive: pathlib.Path) -> int:
    """Returns about how many bytes an archive takes when it is unpacked.

    A tar file would have to be read for it; its own size is near to it, as
    images can't be compressed again.

    Raises:
        UserError: If it is damaged.
    """
    if not zipfile.is_zipfile(archive):
        return archive.stat().st_size
    with _naming_damage(archive), zipfile.ZipFile(archive) as file:
        return sum(entry.file_size for entry in file.infolist())


@contextlib.contextmanager
def _naming_damage(archive):
    try:
        yield
    except _DAMAGES as error:
        raise DamagedFile(
            f"cannot unpack {archive} ({first_line(error)}); remove it and "
            "get it again"
        ) from error


def _entries(archive, advance) -> Iterator[tuple[str, bool, Callable]]:
    """Yields (name, whether it is a plain file, what opens it); no folders."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for entry in file.infolist():
                if not entry.is_dir():
                    yield entry.filename, True, lambda e=entry: file.open(e)
                    advance(entry.compress_size)
        return
    with open(archive, "rb") as raw, tarfile.open(fileobj=raw) as file:
        done = 0
        for entry in file:
            if not entry.isdir():
                yield (
                    entry.name.removeprefix("./"),
                    entry.isreg(),
                    lambda e=entry: file.extractfile(e),
                )
            advance(raw.tell() - done)
            done = raw.tell()


def _check_name(archive, name) -> None:
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0]:
        raise UserError(
            f"{archive} is not unpacked: {name!r} in it leads out of its folder"
        )


def _place(name, places) -> pathlib.Path | None:
    """Returns where an entry goes; None of one that is left out."""
    for inside, place in places.items():
        if not inside:
            return place / name
        if name.startswith(f"{inside}/"):
            return place / name[len(inside) + 1 :]
    return None
