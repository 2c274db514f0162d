"""Collects what is wrong with a dataset, by kind."""

import dataclasses
from typing import Any

from dmg_tf.data.check.kinds import KINDS, SEVERITIES


class Problems:
    """Collects problems by kind: how many, and the first few by name.

    Args:
        max_examples: Examples to keep of each kind.
    """

    def __init__(self, max_examples: int = 3):
        self.max_examples = max_examples
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        """Adds a problem.

        Args:
            kind: Name in `KINDS`.
            example: Which file, line or folder, and in short what is wrong.
            count: How many things the example stands for.
        """
        if kind not in KINDS:
            raise ValueError(f"unknown kind of problem {kind!r}")
        self._counts[kind] = self._counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < self.max_examples:
            examples.append(example)

    def __contains__(self, kind: str) -> bool:
        return kind in self._counts

    def as_json(self) -> list[dict[str, Any]]:
        """Returns all problems, worst first."""
        kinds = [kind for kind in KINDS if kind in self._counts]
        kinds.sort(key=lambda kind: SEVERITIES.index(KINDS[kind].severity))
        return [
            {
                "kind": kind,
                **dataclasses.asdict(KINDS[kind]),
                "count": self._counts[kind],
                "examples": self._examples[kind],
            }
            for kind in kinds
        ]
