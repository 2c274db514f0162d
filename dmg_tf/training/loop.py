"""The training of a model, from its first weights to the one that is kept."""

from collections.abc import Sequence

import keras

from dmg_tf.console.bar import Bar
from dmg_tf.devices.devices import Devices
from dmg_tf.evaluation.images import RunImages
from dmg_tf.methods.base import DomainModel
from dmg_tf.runs.writing import RunFolder
from dmg_tf.training.callbacks import StopOnBadLoss, Timer
from dmg_tf.training.keeper import EpochKeeper
from dmg_tf.training.progress import ProgressCallback, print_plan
from dmg_tf.training.selection import Selection
from dmg_tf.training.setup import Setup, set_up


def train(
    model: DomainModel,
    images: RunImages,
    folder: RunFolder,
    devices: Devices,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> Selection:
    """Trains a model, or goes on where a run stopped, and keeps the best.

    Args:
        model: Built, with its first weights.
        images: The run's.
        folder: Gets history, checkpoint, summaries and the kept model.
        devices: The run's.
        callbacks: Further ones for `fit`; the logs of an epoch have its scores.

    Returns:
        The history, and which epoch is kept.

    Raises:
        UserError: If the loss diverges, or an image can't be read.
    """
    setup = set_up(model, images, folder, devices)
    length = setup.length
    timer = Timer(setup.stream.batch_size)
    keeper = EpochKeeper(setup, timer)
    done = keeper.restore()
    devices.check_same_epoch(done, folder.path)
    print_plan(setup, done)
    with (
        Bar("training", length.steps, "steps", done * length.period) as bar,
        images.naming_bad(setup.stream),
    ):
        progress = ProgressCallback(bar, length, model.spec.metrics)
        keeper.on_row = lambda row: progress.show(
            row, best=keeper.selection.saves(row)
        )
        if done < length.periods and not keeper.ended:
            watching = [StopOnBadLoss(), timer, keeper, *callbacks, progress]
            _fit(setup, done, watching)
        elif not done:
            keeper.keep_untrained()
        keeper.finish()
    return keeper.selection


def _fit(setup: Setup, done: int, callbacks) -> None:
    length = setup.length
    setup.model.fit(
        setup.devices.dataset(setup.stream, done * length.period),
        epochs=length.periods,
        initial_epoch=done,
        steps_per_epoch=length.period,
        shuffle=False,  # the stream is shuffled
        callbacks=callbacks,
        verbose=0,
    )
