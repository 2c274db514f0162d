"""Which epoch's model is kept."""

from typing import Any

from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.evaluation.images import RunImages
from dmg_tf.runs.predictions import OVERALL

VALIDATION = "validation_"
# Keras' name, of all validation images; no domain's column begins so.
LOSS = "val_loss"


class Selection:
    """Scores a model as it learns, and says which epoch is kept.

    That is the one that does best on the sources' validation images under the
    method's selection rule, as the mean over domains; the first of equals.
    Paper: Sec. 7.5; the rule is the official code's. Methods whose spec selects
    the last keep the model that is finished at the end.

    Where the run tracks the target, its images are scored too, by the method's
    default rule. That is written down and has no part in any choice.

    Args:
        model: A `DomainModel`.
        images: The run's.
        averaged: Whether an average at the end is kept, whatever the method; it
            asks for the validation loss.

    Attributes:
        last: Whether that is so, by the method or by this.
        history: One dict an epoch: what `history.csv` holds.
        final: The scores of the finished model, where that is what is kept.
        average: What the results say of the weights' average.
    """

    def __init__(self, model, images: RunImages, averaged: bool = False):
        self.history: list[dict] = []
        self.final: dict[str, float] = {}
        self.average: dict[str, Any] = {}
        self.last = averaged or model.spec.selects == "last"
        self._patience = images.config.patience
        self._with_loss = averaged
        self._rule = model.selection_rule
        self._domains = images.data.source_domains
        self._validation = images.validation()
        self._evaluator = Evaluator(model, [self._rule], self._with_loss)
        self._target = None
        if images.config.track_target:
            self._target = images.tracked_target()
            self._target_domain = images.data.target_domain
            self._target_rule = model.prediction_rules[0]
            self._target_evaluator = Evaluator(model, [self._target_rule])

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the scores, in order."""
        names = [f"{VALIDATION}{d}" for d in (*self._domains, OVERALL)]
        if self._with_loss:
            names.append(LOSS)
        if self._target is not None:
            names.append(f"target_{self._target_rule}")
        return tuple(names)

    def scores(self) -> list[float]:
        """Scores the model as it is: accuracies in the order of `columns`."""
        predictions = self._evaluator(self._validation)
        accuracy = predictions.accuracy(self._domains)
        scores = list(accuracy[self._rule].values())
        if self._with_loss:
            scores.append(float(predictions.losses[self._rule].mean()))
        if self._target is not None:
            accuracy = self._target_evaluator(self._target).accuracy([OVERALL])
            scores.append(accuracy[self._target_rule][OVERALL])
        return scores

    @property
    def selected(self) -> dict | None:
        """The row of the history whose model is kept."""
        if not self.history:
            return None
        return self.history[-1] if self.last else self._best

    @property
    def _best(self) -> dict:
        return max(self.history, key=lambda row: row[f"{VALIDATION}{OVERALL}"])

    def saves(self, row: dict) -> bool:
        """Returns whether the model is kept as it is at the end of a row."""
        return not self.last and self.selected is row

    @property
    def losses(self) -> list[float]:
        """The validation loss of each row; empty where it is not asked for."""
        return [row[LOSS] for row in self.history if LOSS in row]

    @property
    def patience_ended(self) -> bool:
        """Whether as many validations as are allowed did not get better."""
        if self._patience is None or not self.history:
            return False
        best = self.history.index(self._best)
        return len(self.history) - 1 - best >= self._patience

    def summary(self) -> dict[str, Any]:
        """Returns what the results say of the choice."""
        row = {**self.selected, **self.final}
        summary = {
            "selection": {
                "rule": self._rule,
                "epoch": row["epoch"],
                "value": row[f"{VALIDATION}{OVERALL}"],
            },
            **self.average,
        }
        if self._target is not None:
            summary["oracle"] = self._oracle()
        return summary

    def _oracle(self) -> dict[str, Any]:
        """Says which epoch was the target's best."""
        column = f"target_{self._target_rule}"
        best = max(self.history, key=lambda row: row[column])
        accuracy = dict.fromkeys((self._target_domain, OVERALL), best[column])
        return {"epoch": best["epoch"], self._target_rule: accuracy}
