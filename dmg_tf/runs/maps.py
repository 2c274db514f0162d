"""`maps.json`: where the network looks in a few images of the target.

`rules` are the names of the R prediction rules; `images` has for each image its
`path` and the `maps`, R times h rows of w numbers: how much a place speaks for
the class that the first rule predicts, as a share of the image's largest.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from dmg_tf.errors import DamagedFile
from dmg_tf.folders.checksums import Checksums, read_json

MAPS = "maps.json"
_DIGITS = 3


@dataclasses.dataclass(frozen=True)
class ImageMaps:
    """What a run keeps of where its network looks.

    Attributes:
        rules: Names of the R prediction rules.
        of: {path of an image: float [R, h, w] in [0, 1]}.
    """

    rules: tuple[str, ...]
    of: Mapping[str, np.ndarray]


def relative(maps: np.ndarray) -> np.ndarray:
    """Returns an image's maps as shares of the largest number in all of them.

    Args:
        maps: float [R, h, w], not below 0; all 0 stay so.
    """
    maps = np.nan_to_num(maps, posinf=0.0)
    return maps / (maps.max() or 1.0)


def write_maps(
    checksums: Checksums,
    rules: Sequence[str],
    paths: Sequence[str],
    maps: np.ndarray,
) -> None:
    """Writes the file into a run folder.

    Args:
        checksums: Of the folder.
        rules: Names of the R prediction rules.
        paths: The N images.
        maps: float [N, R, h, w], not below 0.
    """
    images = [
        {"path": path, "maps": np.round(relative(own), _DIGITS).tolist()}
        for path, own in zip(paths, maps, strict=True)
    ]
    # Not a number a line, of which there are thousands.
    text = json.dumps({"rules": list(rules), "images": images})
    checksums.write_text(MAPS, f"{text}\n")


def read_maps(run_dir: pathlib.Path) -> ImageMaps | None:
    """Reads the file of a run folder; None where there is none.

    Raises:
        DamagedFile: If it is not such a file.
    """
    path = run_dir / MAPS
    try:
        known = read_json(path)
        rules = tuple(map(str, known["rules"]))
        of = {}
        for image in known["images"]:
            maps = np.asarray(image["maps"], np.float64)
            if maps.ndim != 3 or len(maps) != len(rules) or not maps.size:
                raise ValueError(f"maps of shape {list(maps.shape)}")
            if not (maps.min() >= 0 and maps.max() <= 1):
                raise ValueError("maps that are not in [0, 1]")
            of[str(image["path"])] = maps
        return ImageMaps(rules, of)
    except FileNotFoundError:
        return None
    except (LookupError, TypeError, ValueError) as error:
        raise DamagedFile(
            f"{path} is damaged: {type(error).__name__}: {error}; `dmg_tf."
            "report RUN_DIR --score` writes it again"
        ) from error
