"""What a model said of each image: accuracy of it, and `predictions.csv`.

One row an image: `path`, `split` (as in the counts of `results.json`),
`domain`, `true_class`, and for each prediction rule `<rule>/class` and
`<rule>/probability`, named as `dmg_tf.predict` names them. What a rule does not
say of the target (that of known domain) is left empty.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Sequence

import numpy as np

from dmg_tf.data.names import OVERALL
from dmg_tf.errors import DamagedFile
from dmg_tf.folders.checksums import checked_bytes
from dmg_tf.runs.cells import csv_writer, inert, original

FILE_NAME = "predictions.csv"
OUT_OF_DOMAIN = "out_of_domain"

_MEND = "`dmg_tf.report RUN_DIR --score` writes it again"
_FIRST = ("path", "split", "domain", "true_class")


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model said of every image of a dataset, in its order.

    Attributes:
        predicted: {rule: int32 [N]}, the class with the largest logit.
        labels: int32 [N], the true classes.
        domain_ids: int32 [N], index into the source domains; -1 for images of
            the target domain.
        probabilities: {rule: float [N]}, what that class gets of one.
        losses: {rule: float32 [N]}, the cross entropy, where asked for.
        further: {name: {rule: array [N, ...]}}, what else was asked for.
    """

    predicted: dict[str, np.ndarray]
    labels: np.ndarray
    domain_ids: np.ndarray
    probabilities: dict[str, np.ndarray] = dataclasses.field(
        default_factory=dict
    )
    losses: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    further: dict[str, dict[str, np.ndarray]] = dataclasses.field(
        default_factory=dict
    )

    def select(self, where: np.ndarray) -> "Predictions":
        """Returns what was said of some images.

        Args:
            where: bool [N], or positions.
        """

        def some(by_rule):
            return {rule: values[where] for rule, values in by_rule.items()}

        return Predictions(
            some(self.predicted),
            self.labels[where],
            self.domain_ids[where],
            some(self.probabilities),
            some(self.losses),
            {name: some(by_rule) for name, by_rule in self.further.items()},
        )

    def accuracy(self, domains: Sequence[str]) -> dict[str, dict[str, float]]:
        """Returns accuracies as fractions.

        Args:
            domains: Names by domain id; one name for all images of a target.

        Returns:
            {rule: {domain: accuracy, "overall": mean over the domains}}.
            Domains without images are left out.
        """
        ids = np.maximum(self.domain_ids, 0)
        table = {}
        for rule, predicted in self.predicted.items():
            hits = predicted == self.labels
            row = {
                name: float(hits[ids == index].mean())
                for index, name in enumerate(domains)
                if np.any(ids == index)
            }
            row[OVERALL] = float(np.mean(list(row.values())))
            table[rule] = row
        return table

    def right_by_votes(
        self, rule: str, domain_rules: Sequence[str]
    ) -> dict[str, dict[str, int]]:
        """Counts what is right where the domains' own predictions agree or not.

        Args:
            rule: The prediction rule that counts.
            domain_rules: Names of the rules of the D domains' own.

        Returns:
            {"same" or "different": {"images": count, "right": of these}},
            of images for which the domains name one class, or several.
        """
        named = np.stack([self.predicted[name] for name in domain_rules])
        same = (named == named[0]).all(axis=0)
        right = self.predicted[rule] == self.labels
        return {
            name: {"images": int(of.sum()), "right": int((right & of).sum())}
            for name, of in (("same", same), ("different", ~same))
        }

    def confusion(self, rule: str, num_classes: int) -> np.ndarray:
        """Counts images by true and predicted class.

        Returns:
            int64 [C, C]; rows are true classes, columns predicted ones.
        """
        cells = self.labels.astype(np.int64) * num_classes
        counts = np.bincount(
            cells + self.predicted[rule], minlength=num_classes**2
        )
        return counts.reshape(num_classes, num_classes)


@dataclasses.dataclass(frozen=True)
class ScoredSplit:
    """The predictions for one split of a run's data.

    Attributes:
        name: "validation", "test" or "out_of_domain".
        paths: The N image files.
        domains: Names by domain id; the target's name alone.
        predictions: What the model said of them.
    """

    name: str
    paths: Sequence[str]
    domains: tuple[str, ...]
    predictions: Predictions


def write_predictions(
    path: pathlib.Path,
    splits: Sequence[ScoredSplit],
    class_names: Sequence[str],
) -> None:
    """Writes the table; the columns are the first split's rules."""
    rules = list(splits[0].predictions.predicted)
    # A name that is no text keeps its bytes.
    with open(
        path, "w", encoding="utf-8", errors="surrogateescape", newline=""
    ) as file:
        writer = csv_writer(file)
        names = (name for rule in rules for name in _pair(rule))
        writer.writerow(inert([*_FIRST, *names]))
        for split in splits:
            rows = _rows(split, rules, class_names)
            writer.writerows(map(inert, rows))


def _rows(split, rules, class_names):
    predictions = split.predictions
    columns = []
    for rule in rules:
        if rule in predictions.predicted:
            columns += [
                [class_names[i] for i in predictions.predicted[rule]],
                [f"{p:.6f}" for p in predictions.probabilities[rule]],
            ]
        else:
            columns += [[""] * len(predictions.labels)] * 2
    return zip(
        split.paths,
        [split.name] * len(predictions.labels),
        [split.domains[max(i, 0)] for i in predictions.domain_ids],
        [class_names[i] for i in predictions.labels],
        *columns,
        strict=True,
    )


def read_predictions(
    path: pathlib.Path, class_names: Sequence[str], split: str = OUT_OF_DOMAIN
) -> ScoredSplit:
    """Reads one split of the table.

    Args:
        path: The file.
        class_names: The classes, in the order of their labels.
        split: Which images.

    Raises:
        FileNotFoundError: If there is no such file.
        DamagedFile: If it is not a table of these classes.
    """
    label_of = {name: index for index, name in enumerate(class_names)}
    try:
        text = checked_bytes(path).decode("utf-8", "surrogateescape")
        reader = map(original, csv.reader(io.StringIO(text, newline="")))
        header = next(reader)
        if tuple(header[: len(_FIRST)]) != _FIRST:
            raise ValueError(f"the columns are {', '.join(header)}")
        rows = [row for row in reader if row[1] == split]
        values = zip(*rows, strict=True) if rows else [()] * len(header)
        columns = dict(zip(header, values, strict=True))
        names = list(dict.fromkeys(columns["domain"]))
        rules = [
            name.removesuffix("/class")
            for name in columns
            if name.endswith("/class") and "" not in columns[name]
        ]
        predictions = Predictions(
            {r: _labels(columns[_pair(r)[0]], label_of) for r in rules},
            _labels(columns["true_class"], label_of),
            np.asarray(
                [
                    -1 if split == OUT_OF_DOMAIN else names.index(name)
                    for name in columns["domain"]
                ],
                np.int32,
            ),
            {r: np.asarray(columns[_pair(r)[1]], np.float32) for r in rules},
        )
        return ScoredSplit(split, columns["path"], tuple(names), predictions)
    except FileNotFoundError:
        raise
    except DamagedFile as error:
        raise DamagedFile(f"{error}; {_MEND}") from error
    except (
        OSError,
        csv.Error,
        LookupError,
        ValueError,
        StopIteration,
    ) as error:
        raise DamagedFile(
            f"cannot read {path}: {type(error).__name__}: {error}; {_MEND}"
        ) from error


def _pair(rule: str) -> tuple[str, str]:
    return f"{rule}/class", f"{rule}/probability"


def _labels(names, label_of) -> np.ndarray:
    return np.asarray([label_of[name] for name in names], np.int32)
