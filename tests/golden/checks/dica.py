"""DICA, on the arrays of its file."""

import numpy as np

from dmg_tf.methods.closed_form import Moments, ridge
from dmg_tf.methods.dica.components import Problem, components, explained
from dmg_tf.methods.dica.landmarks import Landmarks

KERNEL_FORMS = {
    "udica": "unsupervised",
    "dica_printed": "printed",
    "dica_symmetric": "symmetric",
}


def dica(reference):
    """Compares moments, components, landmarks and the classifier."""
    features, new = reference["features"], reference["new_features"]
    moments = moments_of(reference, features)
    images = moments_of(reference, np.eye(len(features)))
    chosen = Landmarks(features)
    found = {
        # Of images that are each a feature of its own.
        "coefficients": images.between,
        "label_kernel": images.class_sums @ images.class_sums.T,
        "gamma": chosen.gamma,
        "linear/between": moments.between,
        "linear/scatter": moments.scatter,
        **linear(reference, moments, features, new),
        **by_kernel(reference, chosen, features, new),
        **by_landmarks(reference, features, new, chosen.gamma),
    }
    root = explained(moments, reference.meta["epsilon"])
    return {**found, "linear/explained": root @ root.T}


def moments_of(reference, features):
    """Returns the moments of one feature vector an image."""
    meta = reference.meta
    rows = features, reference["labels"], reference["domain_ids"]
    # In two batches, the second smaller.
    parts = [[x[:20] for x in rows], [x[20:] for x in rows]]
    return Moments(meta["classes"], meta["domains"], parts)


def problem(reference, **values):
    """Returns the file's eigenproblem."""
    return Problem(epsilon=reference.meta["epsilon"], **values)


def projected(moments, directions, features, new):
    """Returns the Gram matrices of the components."""
    own = (features - moments.mean) @ directions
    return {
        "gram": own @ own.T,
        "new_gram": (new - moments.mean) @ directions @ own.T,
    }


def linear(reference, moments, features, new):
    """Returns what the linear kernel gives."""
    meta, found = reference.meta, {}
    for key, form, shrinkage in (
        ("udica", "unsupervised", None),
        ("dica_symmetric", "symmetric", None),
        ("dica_whitened", "symmetric", meta["kappa"]),
    ):
        values, directions = components(
            moments,
            meta["components"],
            problem(reference, form=form, shrinkage=shrinkage),
        )
        parts = {
            "eigenvalues": values,
            "directions": with_signs(directions),
            **projected(moments, directions, features, new),
        }
        found |= {f"linear/{key}/{name}": v for name, v in parts.items()}
    del found["linear/dica_whitened/new_gram"]  # not in the file
    kernel, bias = ridge(moments, meta["ridge"], directions)
    return found | {
        "linear/dica_whitened/logits": features @ kernel + bias,
        "linear/dica_whitened/new_logits": new @ kernel + bias,
    }


def by_kernel(reference, landmarks, features, new):
    """Returns what the exact Gaussian kernel gives.

    With all images as landmarks the mapped features are exact. A direction w
    of these is the coefficients b of images in the kernel's range that give it.
    """
    meta = reference.meta
    mapped, new = landmarks(features), landmarks(new)
    moments = moments_of(reference, mapped)
    mapped = mapped - moments.mean
    kernel = mapped @ mapped.T
    of_new = {
        "inductive": (new - moments.mean) @ mapped.T,
        "transductive": (new - new.mean(axis=0)) @ mapped.T,
    }
    found = {
        "kernel": kernel,
        "distributional_variance": np.trace(moments.between),
        **{f"new_kernel_{name}": value for name, value in of_new.items()},
    }
    for key, form in KERNEL_FORMS.items():
        values, directions = components(
            moments,
            meta["components"],
            problem(reference, form=form, decay=meta["lambda_"]),
        )
        coefficients = np.linalg.pinv(mapped.T, 1e-10) @ directions
        gram = coefficients @ coefficients.T @ kernel
        parts = {
            "eigenvalues": values,
            "coefficients": with_signs(coefficients),
            "gram": kernel @ gram,
            **{f"new_gram_{name}": k @ gram for name, k in of_new.items()},
            "projected_variance": np.trace(
                directions.T @ moments.between @ directions
            ),
        }
        found |= {f"{key}/{name}": value for name, value in parts.items()}
    return found


def by_landmarks(reference, features, new, gamma):
    """Returns what the Gaussian kernel by landmarks gives."""
    points = features[reference["nystroem/landmarks"]]
    landmarks = Landmarks(points, gamma)
    mapped = landmarks(features)
    moments = moments_of(reference, mapped)
    values, directions = components(
        moments,
        reference.meta["components"],
        problem(reference, form="unsupervised"),
    )
    found = {
        "mapped": mapped - moments.mean,
        "udica/eigenvalues": values,
        **{
            f"udica/{name}": value
            for name, value in projected(
                moments, directions, mapped, landmarks(new)
            ).items()
        },
    }
    return {f"nystroem/{name}": value for name, value in found.items()}


def with_signs(columns):
    """Returns columns whose entry of largest magnitude is positive."""
    rows = np.abs(columns).argmax(axis=0)
    return columns * np.sign(columns[rows, np.arange(columns.shape[1])])


FILES = {"dica": dica}
GIVEN = {
    "dica": ("features", "new_features", "nystroem/landmarks"),
}
