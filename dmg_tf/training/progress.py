"""What a run shows: its plan, then the bar and a line an epoch."""

import math

import keras

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import Bar, print_error
from dmg_tf.data.examples import DomainData
from dmg_tf.runs.predictions import OVERALL


class ProgressCallback(keras.callbacks.Callback):
    """Moves the bar with each step and prints a line after each epoch.

    Args:
        bar: Counts steps of training.
        epochs: Epochs of the whole run.
    """

    def __init__(self, bar: Bar, epochs: int):
        super().__init__()
        self.bar = bar
        self.epochs = epochs
        self._width = len(str(epochs))

    def on_epoch_begin(self, epoch, logs=None):
        """Names the epoch on the bar."""
        self._epoch = epoch + 1
        self.bar.advance(0, title=f"epoch {self._epoch}/{self.epochs}")

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar."""
        self.bar.advance()

    def show(self, row: dict, best: bool) -> None:
        """Prints one epoch's row of the history."""
        siou = f"  siou {row['siou']:.3f}" if "siou" in row else ""
        rate = row["images_per_second"]
        # The one step of a very small epoch may be the one that compiles.
        rate = "" if math.isnan(rate) else f"  {rate:.0f} images/s"
        self.bar.print(
            f"epoch {row['epoch']:{self._width}d}/{self.epochs}"
            f"  loss {row['loss']:.4f}{siou}"
            f"  train {row['accuracy']:6.2%}"
            f"  validation {row[f'validation_{OVERALL}']:6.2%}"
            f"{' *' if best else '  '}"
            f"  {row['seconds']:.1f} s{rate}"
        )


def print_plan(
    model: keras.Model, config: RunConfig, data: DomainData, done: int
) -> None:
    """Says what is about to be trained, on what.

    Args:
        model: The run's.
        config: Resolved.
        data: Its images.
        done: Epochs that a resumed run has behind it.
    """
    counts = data.counts()
    sources = ", ".join(
        f"{name} {count}" for name, count in counts["train"].items()
    )
    print_error(
        f"{config.method} on {config.backbone}: {model.count_params():,} "
        f"parameters, {config.image_size} px, {config.precision}, weights "
        f"{config.weights}"
    )
    print_error(
        f"learns from {sources} images; selects on "
        f"{sum(counts['validation'].values())}; the target is "
        f"{data.target_domain} with {len(data.out_of_domain)}"
    )
    for line in model.describe():
        print_error(line)
    replicas = model.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
        print_error(
            f"{replicas} devices share each batch of {config.batch_size}, "
            f"{config.batch_size // replicas} images a device"
        )
    if done:
        print_error(f"resumed after epoch {done} of {config.epochs}")
