"""Gets a dataset from where it is published, into a folder."""

import pathlib
import shutil
from collections.abc import Sequence

from dmg_tf.console.bar import Bar, print_error
from dmg_tf.console.printable import one_line
from dmg_tf.data.datasets.published import PublishedFile
from dmg_tf.data.download.transfer import (
    FAILURES,
    download,
    size_of,
    why_another,
)
from dmg_tf.data.download.unpack import unpack, unpacked_size
from dmg_tf.errors import UserError
from dmg_tf.files import making_folder, remove_leftovers, writing
from dmg_tf.folders.lock import alone_in
from dmg_tf.registry import DATASETS


def obtainable() -> tuple[str, ...]:
    """Returns the names of the datasets that are known to be published."""
    return tuple(n for n in DATASETS.names() if DATASETS[n].files)


def get_dataset(
    name: str, folder: str | pathlib.Path, mirror: str | None = None
) -> bool:
    """Downloads, checks and unpacks a dataset, or what is missing of it.

    Each of its folders appears when all of it is there. A file that lies in the
    folder under its published name is taken as it is, and stays.

    Args:
        name: One of `obtainable`.
        folder: The folder; made if it is not there.
        mirror: Address of a folder that has all files; None for where they are
            published.

    Returns:
        Whether something was missing.

    Raises:
        UserError: If a file can't be had (then the message says which to put
            where), is another than the published one, or there is no room.
    """
    root = pathlib.Path(folder)
    files = DATASETS[name].files
    with making_folder(root), alone_in(root, "give another --to"):
        remove_leftovers(root, {n for file in files for n in file.gives})
        missing = []
        for file in files:
            if not all((root / n).exists() for n in file.gives):
                missing.append(file)
            else:  # of a process that was killed just before it was done
                _part_of(root, file).unlink(missing_ok=True)
        if missing:
            _Getting(root, missing, mirror).run()
    return bool(missing)


def _part_of(root, file) -> pathlib.Path:
    return root / f"{file.name}.part"


class _Getting:
    """Gets files.

    Args:
        root: The dataset's folder.
        files: What is missing.
        mirror: As of `get_dataset`.
    """

    def __init__(
        self,
        root: pathlib.Path,
        files: Sequence[PublishedFile],
        mirror: str | None,
    ):
        self._root, self._files, self._mirror = root, files, mirror
        # What a person has put there.
        self._given = {f.name for f in files if (root / f.name).exists()}

    def run(self) -> None:
        """Gets them all."""
        self._check_addresses()
        self._check_room()
        self._download()
        archives = [file for file in self._files if file.folders]
        total = sum(size_of(self._place(file)) for file in archives)
        with Bar("unpacking", total, "bytes") as bar:
            for file in archives:
                bar.advance(0, f"unpacking {file.name}")
                self._unpack(file, bar)

    def _place(self, file) -> pathlib.Path:
        """Returns where a file is until it is unpacked.

        A downloaded archive never has its own name: what does is a person's.
        """
        if file.name in self._given:
            return self._root / file.name
        return _part_of(self._root, file)

    def _address(self, file) -> str | None:
        if self._mirror is None:
            return file.url
        return f"{self._mirror.rstrip('/')}/{file.name}"

    def _by_hand(self, file) -> str:
        return (
            f"get {file.name} at {file.page} and put it at "
            f"{self._root / file.name}, then start again"
        )

    def _check_addresses(self) -> None:
        for file in self._files:
            if file.name not in self._given and self._address(file) is None:
                raise UserError(
                    f"{file.name} is to be had by a browser only: "
                    f"{self._by_hand(file)}"
                )

    def _check_room(self) -> None:
        """Raises UserError if there is too little room, as far as is known."""
        sizes = [f.size or size_of(self._place(f)) for f in self._files]
        here = [size_of(self._place(f)) for f in self._files]
        new = sum(max(0, a - b) for a, b in zip(sizes, here, strict=True))
        both = list(zip(self._files, sizes, strict=True))
        # An archive that was downloaded goes when it is unpacked.
        largest = max((size for f, size in both if f.folders), default=0)
        given = sum(
            size for f, size in both if f.folders and f.name in self._given
        )
        self._check_free(new + max(largest, given), "to download and to unpack")

    def _check_free(self, needed: int, what: str) -> None:
        free = shutil.disk_usage(self._root).free
        if needed > free:
            raise UserError(
                f"{self._root} needs {needed / 1e9:.1f} GB {what}, and "
                f"{free / 1e9:.1f} GB are free; free some space or give "
                "another --to"
            )

    def _download(self) -> None:
        wanted = [file for file in self._files if file.name not in self._given]
        sizes = [file.size for file in wanted]
        done = sum(size_of(self._place(file)) for file in wanted)
        total = None if None in sizes else sum(sizes)
        with Bar("downloading", total, "bytes", done) as bar:
            for file in self._files:
                if file.name not in self._given:
                    self._download_one(file, bar)
                bar.advance(0, f"checking {file.name}")
                self._check(file)
                if not file.folders:
                    with writing(self._root):
                        self._place(file).replace(self._root / file.name)

    def _download_one(self, file, bar) -> None:
        url = self._address(file)
        bar.print(f"downloading {url}")
        bar.advance(0, f"downloading {file.name}")
        place = self._place(file)
        try:
            download(url, place, file.size, bar.advance)
        except FAILURES as error:
            raise UserError(
                f"cannot get {url} ({one_line(str(error))}); start again later "
                f"to go on, or {self._by_hand(file)}"
            ) from error

    def _check(self, file) -> None:
        place = self._place(file)
        fault = why_another(place, file.size, file.checksum)
        if fault and file.name in self._given:
            raise UserError(
                f"{place} is not the published file: {fault}; "
                f"{self._by_hand(file)}"
            )
        if fault:
            place.unlink()
            raise UserError(
                f"what {self._address(file)} sent is not the published file "
                f"and was removed: {fault}; start again, or "
                f"{self._by_hand(file)}"
            )
        if file.checksum is None:
            what = "nothing" if file.size is None else "its size alone"
            print_error(
                f"note: no checksum of {file.name} is known; {what} was checked"
            )

    def _unpack(self, file, bar) -> None:
        place = self._place(file)
        self._check_free(unpacked_size(place), f"to unpack {file.name}")
        unpack(place, self._root, file.folders, bar.advance)
        if file.name in self._given:
            bar.print(f"{place} is unpacked and no longer needed")
        else:
            place.unlink()
