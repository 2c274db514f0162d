"""What data a run learned from: `data.json`, and its images by name.

Data is the same where class and domain names are, and images of the same names
below the data's folder, of the same sizes, labels and splits, come in the same
order. Where the folder is has no part in it.
"""

import csv
import dataclasses
import gzip
import hashlib
import io
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dmg_tf.console.bar import print_error
from dmg_tf.data import image_root
from dmg_tf.data.examples import DomainData
from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.folders.checksums import Checksums, checked_bytes, read_json
from dmg_tf.runs.cells import csv_writer

FILE_NAME = "data.json"
IMAGES_NAME = "images.csv.gz"
_HEADER = ("path", "bytes", "split", "domain", "class")
_SPLITS = ("train", "validation", "test", "out_of_domain")
# Longer lists of names are told by what differs.
_NAMES_IN_WORDS = 12


class Image(NamedTuple):
    """One image of a run, as texts.

    Attributes:
        path: Its name, from the data's folder on.
        size: Bytes of the file.
        split: "train", "validation", "test" or "out_of_domain".
        domain: Its domain.
        class_name: Its class.
    """

    path: str
    size: str
    split: str
    domain: str
    class_name: str


@dataclasses.dataclass(frozen=True)
class DataRecord:
    """What data a run learned from.

    Attributes:
        class_names: In the order of the labels.
        source_domains: In the order of their ids.
        target_domain: The domain training never sees, or None.
        images: Split by split, in their order.
    """

    class_names: tuple[str, ...]
    source_domains: tuple[str, ...]
    target_domain: str | None
    images: tuple[Image, ...]

    @classmethod
    def of(cls, data: DomainData, root: str | None) -> "DataRecord":
        """Makes the record of some data; asks for each file's size.

        Args:
            data: The images.
            root: Their folder; None for what holds all of them.

        Raises:
            UserError: If an image is not there.
        """
        splits = [(name, getattr(data, name)) for name in _SPLITS]
        splits = [(name, part) for name, part in splits if part is not None]
        if root is None:
            root = os.path.commonpath([p for _, s in splits for p in s.paths])
        images = []
        for name, part in splits:
            for path, label, domain in zip(
                part.paths,
                part.labels.tolist(),
                part.domain_ids.tolist(),
                strict=True,
            ):
                images.append(
                    Image(
                        below(path, root),
                        _size(path),
                        name,
                        data.target_domain
                        if domain < 0
                        else data.source_domains[domain],
                        data.class_names[label],
                    )
                )
        return cls(
            tuple(data.class_names),
            tuple(data.source_domains),
            data.target_domain,
            tuple(images),
        )

    def write(self, checksums: Checksums) -> None:
        """Writes the record into a run folder."""
        contents = _to_csv(self.images)
        with checksums.replacing(IMAGES_NAME) as temporary:
            temporary.write_bytes(gzip.compress(contents, mtime=0))
        checksums.write_json(
            FILE_NAME,
            {
                "class_names": self.class_names,
                "source_domains": self.source_domains,
                "target_domain": self.target_domain,
                "images": len(self.images),
                "images_sha256": hashlib.sha256(contents).hexdigest(),
            },
        )

    @classmethod
    def read(cls, run_dir: pathlib.Path) -> "DataRecord | None":
        """Reads the record of a run folder; None where there is none.

        Raises:
            UserError: If it is damaged.
        """
        path = run_dir / FILE_NAME
        try:
            facts = read_json(path)
            path = run_dir / IMAGES_NAME
            contents = gzip.decompress(checked_bytes(path))
            return cls(
                tuple(facts["class_names"]),
                tuple(facts["source_domains"]),
                facts["target_domain"],
                tuple(_from_csv(contents)),
            )
        except FileNotFoundError:
            return None
        except (OSError, EOFError, LookupError, TypeError, ValueError) as error:
            raise DamagedFile(f"cannot read {path}: {error}") from error

    def check_same(self, now: "DataRecord", run_dir: pathlib.Path) -> None:
        """Raises UserError unless other data is the same.

        Args:
            now: What the data is now.
            run_dir: The folder of this record's run.
        """
        check_names(
            {"class": self.class_names, "source domain": self.source_domains},
            {"class": now.class_names, "source domain": now.source_domains},
            run_dir,
        )
        difference = self.difference(now)
        if difference:
            raise UserError(
                f"the run in {run_dir} was started with other images: "
                f"{difference}; give the data as it was, or another --output"
            )

    def difference(self, now: "DataRecord") -> str:
        """Returns in words how other images differ; "" if they don't.

        Where the targets are two, their images are left out.
        """
        old, new = self.images, now.images
        if self.target_domain != now.target_domain:
            old, new = (
                tuple(i for i in images if i.split != _SPLITS[-1])
                for images in (old, new)
            )
        if old == new:
            return ""
        old, new = ({(i.path, i.split): i for i in s} for s in (old, new))
        kinds = {
            "new": [key for key in new if key not in old],
            "gone": [key for key in old if key not in new],
            "of another size or class": [
                key for key in old if key in new and old[key] != new[key]
            ],
        }
        words = [
            f"{len(keys)} {kind} (e.g. {keys[0][0]}, {keys[0][1]})"
            for kind, keys in kinds.items()
            if keys
        ]
        return ", ".join(words) or "they come in another order"


def check_names(
    old: Mapping[str, Sequence[str]],
    new: Mapping[str, Sequence[str]],
    run_dir: pathlib.Path,
) -> None:
    """Raises UserError unless classes and domains are those of a run.

    Args:
        old: {"class": names, "source domain": names} of the run.
        new: The same of the data as it is.
        run_dir: The run folder.
    """
    for kind, before in old.items():
        now = new[kind]
        if list(before) == list(now):
            continue
        plural = "classes" if kind == "class" else f"{kind}s"
        if len(before) + len(now) > 2 * _NAMES_IN_WORDS:
            gone = [name for name in before if name not in now]
            added = [name for name in now if name not in before]
            words = f"gone: {_few(gone)}; new: {_few(added)}"
        else:
            words = f"the data has {', '.join(now)}"
        known = ", ".join(before[:_NAMES_IN_WORDS])
        more = len(before) - _NAMES_IN_WORDS
        raise UserError(
            f"the run in {run_dir} learned the {plural} {known}"
            f"{f' and {more} more' if more > 0 else ''}; {words}; give the "
            "data that it was started with, or another --output"
        )


def _few(names) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "none") + more


def below(path: str, root: str | None) -> str:
    """Returns the name of a file as a record has it.

    Args:
        path: The file.
        root: The data's folder; None leaves the path.
    """
    root = image_root(root)
    if root is None:
        return path
    name = os.path.relpath(path, root or os.curdir)
    if name.startswith(os.pardir):
        name = os.path.abspath(path)
    return pathlib.PurePath(name).as_posix()


def _size(path) -> str:
    try:
        return str(os.stat(path).st_size)
    except OSError as error:
        raise UserError(
            f"cannot read the image {path}: {error.strerror}"
        ) from error


def _to_csv(images) -> bytes:
    text = io.StringIO()
    writer = csv_writer(text)
    writer.writerow(_HEADER)
    writer.writerows(images)
    # A name that is no text keeps its bytes.
    return text.getvalue().encode("utf-8", "surrogateescape")


def _from_csv(contents: bytes) -> Iterator[Image]:
    text = contents.decode("utf-8", "surrogateescape")
    rows = csv.reader(io.StringIO(text, newline=""))
    if tuple(next(rows)) != _HEADER:
        raise ValueError("it has other columns")
    for row in rows:
        yield Image(*row)


def note_on_images(
    run_dir: str | pathlib.Path, data: DomainData, root: str | None
) -> None:
    """Tells the user where images are not those that a run had.

    Args:
        run_dir: The run folder.
        data: The images.
        root: Their folder.

    Raises:
        UserError: If the run's record is damaged, or an image is not there.
    """
    old = DataRecord.read(pathlib.Path(run_dir))
    if old is None:
        return
    difference = old.difference(DataRecord.of(data, root))
    if difference:
        print_error(
            f"note: the images are not all those of the run in {run_dir}: "
            f"{difference}"
        )
