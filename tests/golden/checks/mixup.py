"""Mixup of two domains."""

from unittest import mock

import numpy as np
import tensorflow as tf

from tests.golden.checks.files import entries_of, gradients


def mixup(reference):
    """Compares a step with the order and the shares of the file."""
    model = reference.model("mixup", mixup_alpha=reference.meta["alpha"])
    order = tf.constant(reference["draw/domain_order"].astype(np.int32))
    shares = tf.constant(reference["draw/shares"].astype(np.float32))
    with (
        mock.patch.object(model, "draw_order", lambda: order),
        mock.patch.object(model, "draw_shares", lambda: shares),
    ):
        logs = model.train_step(reference.batch(by_domain=True))
    return {
        "loss/total": logs["loss"],
        **gradients(model, entries_of(model)),
    }


FILES = {"mixup": mixup}
