"""What a report is made of, read from a run folder."""

import dataclasses
import pathlib
from typing import Any

from dmg_tf.errors import UserError
from dmg_tf.folders.checksums import NEXT, read_json
from dmg_tf.runs.folder import ENVIRONMENT, read_results
from dmg_tf.runs.history import read_history
from dmg_tf.runs.maps import ImageMaps, read_maps
from dmg_tf.runs.predictions import (
    FILE_NAME,
    OUT_OF_DOMAIN,
    ScoredSplit,
    read_predictions,
)


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """What a report is made of.

    Attributes:
        run_dir: The run folder.
        results: Of `results.json`.
        history: Of `history.csv`.
        environment: Of `environment.json`.
        target: What was said of the target's images; None if it was not kept.
        maps: Where the network looks in some of them; None likewise.
    """

    run_dir: pathlib.Path
    results: dict[str, Any]
    history: list[dict]
    environment: dict[str, Any]
    target: ScoredSplit | None
    maps: ImageMaps | None = None

    @property
    def own_folder(self) -> pathlib.Path:
        """The run's, where the files of one that goes on will be moved."""
        moved = self.run_dir.name == NEXT
        return self.run_dir.parent if moved else self.run_dir

    @classmethod
    def read(cls, run_dir: str | pathlib.Path) -> "RunFiles":
        """Reads a run folder.

        Raises:
            UserError: If the run is not finished or a file can't be read.
        """
        run_dir = pathlib.Path(run_dir)
        results = read_results(run_dir)
        target = _predictions(run_dir, results, OUT_OF_DOMAIN)
        environment = _environment(run_dir / ENVIRONMENT)
        history = read_history(run_dir / "history.csv")
        maps = read_maps(run_dir)
        return cls(run_dir, results, history, environment, target, maps)

    def sources(self) -> ScoredSplit | None:
        """Returns what was said of the sources' images, if it was kept."""
        split = self.results["in_domain_split"]
        return _predictions(self.run_dir, self.results, split)


def _predictions(run_dir, results, split) -> ScoredSplit | None:
    try:
        return read_predictions(
            run_dir / FILE_NAME, results["class_names"], split
        )
    except FileNotFoundError:
        return None  # a run from before they were kept


def _environment(path) -> dict[str, Any]:
    try:
        return read_json(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
