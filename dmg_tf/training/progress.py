"""What a run shows: its plan, then the bar and a line an epoch."""

import math
from collections.abc import Mapping

import keras
import numpy as np

from dmg_tf.config.recipes import BY_SIZE, PAPER
from dmg_tf.console.bar import Bar, print_error
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.training.length import Length
from dmg_tf.training.selection import VALIDATION
from dmg_tf.training.setup import Setup


class ProgressCallback(keras.callbacks.Callback):
    """Moves the bar with each step and prints a line after each validation.

    Args:
        bar: Counts steps of training.
        length: The run's.
        metrics: {name in the logs: title} of what is shown beside the loss.
    """

    def __init__(self, bar: Bar, length: Length, metrics: Mapping[str, str]):
        super().__init__()
        self.bar = bar
        self.length = length
        self.metrics = metrics
        width = len(str(length.epochs))
        self._format = f"{width}d" if length.by_epoch else f"{width + 3}.2f"

    def on_epoch_begin(self, epoch, logs=None):
        """Names the epoch on the bar."""
        # Of a period within an epoch, the one that it begins in.
        number = math.floor(self.length.epoch_after(epoch)) + 1
        title = f"epoch {number}/{self.length.epochs}"
        self.bar.advance(0, title=title)

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        self.bar.advance()

    def show(self, row: Mapping[str, float], best: bool) -> None:
        """Prints one row of the history."""
        parts = [f"epoch {row['epoch']:{self._format}}/{self.length.epochs}"]
        if "loss" in row:
            parts.append(f"loss {row['loss']:.4f}")
        parts += [
            f"{title} {row[name]:.3f}"
            for name, title in self.metrics.items()
            if name in row
        ]
        if "accuracy" in row:
            parts.append(f"train {row['accuracy']:6.2%}")
        validation = f"validation {row[f'{VALIDATION}{OVERALL}']:6.2%}"
        parts.append(f"{validation}{' *' if best else '  '}")
        rate = row["images_per_second"]
        parts.append(f"{row['seconds']:.1f} s")
        # The one step of a very small epoch may be the one that compiles.
        if not math.isnan(rate):
            parts.append(f"{rate:.0f} images/s")
        self.bar.print("  ".join(parts))


def print_plan(setup: Setup, done: int) -> None:
    """Says what is about to be trained, on what.

    Args:
        setup: The training's.
        done: Periods that a resumed run has behind it.
    """
    model, config, data = setup.model, setup.images.config, setup.images.data
    counts = data.counts()
    sources = ", ".join(
        f"{name} {count}" for name, count in counts["train"].items()
    )
    print_error(
        f"{config.method} on {config.backbone}: {model.count_params():,} "
        f"parameters, {config.image_size} px, {config.precision}, weights "
        f"{config.weights}"
    )
    target = "no domain is held out"
    if data.held_out:
        target = (
            f"the target is {data.target_domain} with {len(data.out_of_domain)}"
        )
    print_error(
        f"learns from {sources} images; selects on "
        f"{sum(counts['validation'].values())}; {target}"
    )
    if config.recipe == BY_SIZE:
        learned = config.train.replace("_", " ")
        then = f", then {config.epochs} epochs of {learned}"
        print_error(
            f"settings by the number of images (--recipe {BY_SIZE}): the "
            f"classifier is fitted first{then if config.epochs else ''}; "
            f"{PAPER} has the paper's"
        )
    if config.train != "all":
        learning = sum(int(np.prod(v.shape)) for v in model.trainable_weights)
        print_error(
            f"{learning:,} parameters learn; what is before "
            f"{model.task_network.stages[0].name} is frozen, and computed once "
            f"for {config.views} views of each image"
        )
    for line in model.describe():
        print_error(line)
    batch_size, replicas = setup.stream.batch_size, setup.devices.replicas
    if config.by_domain:
        print_error(
            f"{batch_size} images a batch, "
            f"{batch_size // len(data.source_domains)} of each source"
        )
    if replicas > 1:
        print_error(
            f"{replicas} devices share each batch of {batch_size}, "
            f"{batch_size // replicas} images a device"
        )
    if done:
        epochs = setup.length.epoch_after(done)
        print_error(f"resumed after epoch {epochs} of {config.epochs}")
