"""A last layer that starts as a linear probe of the first weights."""

from collections.abc import Iterable

import numpy as np

from dmg_tf.console.bar import Bar, print_error
from dmg_tf.devices.devices import Devices
from dmg_tf.evaluation.images import Embedding, RunImages
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.closed_form import Moments, ridge, sharpness

# Of the features' mean variance, what is tried as the regression's decay.
_DECAYS = (1e-3, 1e-2, 1e-1, 1.0)

Batches = Iterable[tuple[np.ndarray, np.ndarray]]


def fit_classifier(
    model: DomainModel, images: RunImages, devices: Devices
) -> None:
    """Fits the last layer to what the first weights make of source images.

    Source: Kumar et al., Fine-Tuning can Distort Pretrained Features and
    Underperform Out-of-Distribution, ICLR 2022: a network that starts with a
    random last layer unlearns what it knows while that layer is found. Differs:
    the probe is least squares in closed form, not logistic regression. Its
    decay is the one of the least cross entropy on the sources' validation
    images, and its scores are multiplied by what makes them log-probabilities
    there. Where each domain has a last layer of its own, all start as this one.

    Args:
        model: With its first weights.
        images: The run's, decoded or computed already where they are kept.
        devices: The run's.
    """
    fitted = images.fitted()
    embedding = Embedding(model, fitted.element_spec[0]["image"].shape[1:])

    def features(dataset, on_batch=None):
        for hidden, labels, _ in embedding(dataset):
            yield hidden, labels
            if on_batch:
                on_batch(len(labels))

    with Bar("fitting the classifier", images.num_fitted, "images") as bar:
        kernel, bias, accuracy = fit(
            features(fitted, bar.advance),
            list(features(images.validation())),
            model.num_classes,
        )
    numbers = devices.from_chief([*kernel.ravel(), *bias])
    kernel, bias = np.split(np.asarray(numbers, np.float32), [kernel.size])
    model.start_classifier(kernel.reshape(-1, model.num_classes), bias)
    print_error(
        "the classifier starts from least squares on the weights' features: "
        f"validation {accuracy:.2%}"
    )


def fit(
    train: Batches, validation: Batches, num_classes: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Fits a linear classifier in closed form.

    Args:
        train: (features [B, F], labels int [B]) of what is regressed on.
        validation: The same of what chooses decay and scale.
        num_classes: C.

    Returns:
        Kernel [F, C], bias [C], and the accuracy on the validation images.
    """
    one_domain = ((h, y, np.zeros(len(y), np.int64)) for h, y in train)
    moments = Moments(num_classes, 1, one_domain)
    variance = np.trace(moments.scatter) / len(moments.scatter) or 1.0
    labels = np.concatenate([y for _, y in validation])
    found = []
    for decay in _DECAYS:
        kernel, bias = ridge(moments, decay * variance)
        scores = np.concatenate([h @ kernel + bias for h, _ in validation])
        # As Platt scaling does: few images that are all right are no proof.
        scale = sharpness(scores, labels, smoothing=1 / (len(labels) + 2))
        loss = _cross_entropy(scale * scores, labels)
        found.append((loss, scale * kernel, scale * bias, scores))
    _, kernel, bias, scores = min(found, key=lambda fitted: fitted[0])
    return kernel, bias, float(np.mean(scores.argmax(axis=1) == labels))


def _cross_entropy(logits, labels) -> float:
    logits = logits - logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - own))
