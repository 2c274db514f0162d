"""MixStyle: mixed maps, losses and gradients of both kinds of partners."""

from unittest import mock

import tensorflow as tf

from dmg_tf.methods.mixstyle.mix import Draw
from tests.golden.checks.files import entries_of, gradients


def step(reference, partners):
    """Compares a step with partners of one kind."""
    model = reference.model(
        "mixstyle",
        mixstyle_partners=partners,
        mixstyle_probability=reference.meta["probability"],
        mixstyle_alpha=reference.meta["alpha"],
    )
    mixer = model.feature_extractor.layers[-2]
    mixes = mixer.draw(12, tf.zeros(12, tf.int32)).mixes
    drawn = Draw(
        mixes,
        tf.constant(reference[f"{partners}/draw/partners"], tf.int32),
        tf.constant(reference[f"{partners}/draw/shares"], tf.float32),
    )
    inputs, labels = reference.batch()
    # The domains in the order of the rows.
    size = len(drawn.partners)
    inputs = {name: value[:size] for name, value in inputs.items()}
    maps, plain = [], mixer.call

    def kept(*args, **kwargs):
        maps.append(plain(*args, **kwargs))
        return maps[-1]

    with (
        mock.patch.object(mixer, "draw", lambda *_: drawn),
        mock.patch.object(mixer, "call", kept),
    ):
        logs = model.train_step((inputs, labels[:size]))
    return {
        f"{partners}/mixed": tf.transpose(maps[0], (0, 3, 1, 2)),
        f"{partners}/loss/total": logs["loss"],
        **gradients(model, entries_of(model), f"{partners}/grad/"),
    }


def mixstyle(reference):
    """Compares both kinds of partners."""
    return step(reference, "random") | step(reference, "crossdomain")


FILES = {"mixstyle": mixstyle}
