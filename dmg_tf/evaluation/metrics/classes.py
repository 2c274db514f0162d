"""What a matrix of true and predicted classes says of each class."""

from typing import Any

import numpy as np


def of_classes(confusion: np.ndarray) -> dict[str, list]:
    """Returns the numbers of each class, in the order of the labels.

    Args:
        confusion: int [C, C]; rows are true classes, columns predicted ones.

    Returns:
        "images" and "predicted", how many images are of the class and are
        said to be; "precision", "recall" and "f1", fractions. None stands for
        a number that there is not: precision of a class that is never
        predicted, recall and F1 of one without images.
    """
    hits = confusion.diagonal()
    images, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    return {
        "images": images.tolist(),
        "predicted": predicted.tolist(),
        "precision": _shares(hits, predicted),
        "recall": _shares(hits, images),
        "f1": _shares(2 * hits, np.where(images, images + predicted, 0)),
    }


def balanced_accuracy(numbers: dict[str, list]) -> float:
    """Returns the mean recall of the classes that have images.

    Args:
        numbers: What `of_classes` returned.
    """
    return float(np.mean([r for r in numbers["recall"] if r is not None]))


def worst_class(numbers: dict[str, list], class_names) -> dict[str, Any]:
    """Returns the class of the lowest recall, and that; the first of equals.

    Args:
        numbers: What `of_classes` returned.
        class_names: The C classes.
    """
    known = [i for i, r in enumerate(numbers["recall"]) if r is not None]
    worst = min(known, key=lambda i: numbers["recall"][i])
    return {
        "class": class_names[worst],
        "accuracy": numbers["recall"][worst],
        "images": numbers["images"][worst],
    }


def _shares(parts, wholes) -> list[float | None]:
    return [
        float(part / whole) if whole else None
        for part, whole in zip(parts, wholes, strict=True)
    ]
