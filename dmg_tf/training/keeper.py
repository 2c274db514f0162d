"""What happens around the steps: progress, validation, files, checkpoints."""

import math
import pathlib
import time

import keras
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.files import replacing, write_text, writing
from dmg_tf.runs.history import history_csv, read_history
from dmg_tf.runs.predictions import OVERALL

# The paper's prediction for images of unknown domain.
TARGET_RULE = "pred_ens"
TARGET_COLUMN = f"target_{TARGET_RULE}"


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the run when the loss is no finite number any more.

    The last checkpoint stays as it is: it was written before. The loss of the
    logs is a running mean, which one bad step spoils for the rest of the epoch:
    looking at it now and then is enough, and does not make the device wait for
    the host at each step.
    """

    _EVERY = 20

    def on_train_batch_end(self, batch, logs=None):
        """Raises UserError with the number of the step."""
        if batch % self._EVERY == self._EVERY - 1:
            self._check(logs)

    def on_epoch_end(self, epoch, logs=None):
        """Likewise, before anything of the epoch is written."""
        self._check(logs)

    def _check(self, logs):
        if not math.isfinite(logs["loss"]):
            step = int(self.model.optimizer.iterations.numpy())
            raise UserError(
                f"the loss is {float(logs['loss'])} at step {step}: training "
                "has diverged; the last checkpoint is kept. Try a smaller "
                "--learning-rate, or --precision float32"
            )


class Timer(keras.callbacks.Callback):
    """Measures how long the steps of each epoch take.

    Attributes:
        seconds: Time of the last epoch's steps, without validation.
        images_per_second: Its rate. The first step of all is left out, as it
            compiles the graph.
    """

    def __init__(self, batch_size: int):
        super().__init__()
        self.batch_size = batch_size
        self.seconds = 0.0
        self.images_per_second = float("nan")
        self._compiled = False

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._begin = self._rate_begin = time.perf_counter()
        self._steps = 0

    def on_train_batch_end(self, batch, logs=None):
        """Reads the clock; the epoch's end comes after validation."""
        self._end = time.perf_counter()
        if not self._compiled:
            self._compiled = True
            self._rate_begin = self._end
        else:
            self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        """Works out the rate."""
        self.seconds = self._end - self._begin
        if self._steps:
            elapsed = self._end - self._rate_begin
            self.images_per_second = self._steps * self.batch_size / elapsed


class Keeper(keras.callbacks.Callback):
    """Validates each epoch, keeps the best model, and writes the files.

    An epoch is selected by the sources' validation images under the method's
    selection rule, as the mean over domains; the first of equals wins. Paper:
    Sec. 7.5; the rule is the official code's.

    Files are written in the order best model, history, checkpoint. So a run
    killed between them repeats one epoch and writes the same again.

    Args:
        run_dir: The run folder.
        validation: Batches of the sources' validation images.
        source_domains: Names by domain id.
        timer: Gives seconds and rate; comes before this in the callbacks.
        rate_of_epoch: Gives the learning rate of an epoch counted from 0.
        on_validation: Called with the number of images of each batch.
        on_epoch: Called with the row of the history.
        target: Batches of the target's images, to be scored after each epoch
            and written down, no more; None not to look at them.
        pictures: Gives {name: float [H, W, 3] in [0, 1]}, images that
            TensorBoard shows of the first epoch.
        writes: Whether to validate and write. Of several machines only the
            chief does; the others wait for it at their next step.

    Attributes:
        history: One dict an epoch: what `history.csv` holds.
    """

    def __init__(
        self,
        run_dir: pathlib.Path,
        validation: tf.data.Dataset,
        source_domains,
        timer: Timer,
        rate_of_epoch,
        on_validation=None,
        on_epoch=None,
        target: tf.data.Dataset | None = None,
        pictures=None,
        writes: bool = True,
    ):
        super().__init__()
        self.run_dir = run_dir
        self.validation = validation
        self.source_domains = tuple(source_domains)
        self.timer = timer
        self.rate_of_epoch = rate_of_epoch
        self.on_validation = on_validation
        self.on_epoch = on_epoch
        self.target = target
        self.pictures = pictures
        self.writes = writes
        self.history: list[dict] = []
        self._evaluator = None
        self._writer = None

    def set_model(self, model):
        """Binds the model and makes its checkpoint."""
        super().set_model(model)
        if self._evaluator is not None:
            return  # `fit` binds the model that `restore` needed before it
        self._evaluator = Evaluator(model, [model.selection_rule])
        if self.target is not None:
            self._target_evaluator = Evaluator(model, [TARGET_RULE])
        # Every variable by itself: Keras does not hand the seeds' states to
        # TensorFlow's checkpoints when it is given the model as a whole.
        self._checkpoint = tf.train.Checkpoint(
            model=[v.value for v in model.variables],
            optimizer=[v.value for v in model.optimizer.variables],
        )
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self.run_dir / "checkpoint"), max_to_keep=1
        )

    def restore(self) -> int:
        """Loads the last checkpoint, if there is one.

        Returns:
            The number of epochs that are done.
        """
        if not self._manager.latest_checkpoint:
            return 0
        self._checkpoint.restore(
            self._manager.latest_checkpoint
        ).assert_consumed()
        done = int(self._manager.latest_checkpoint.rsplit("-", 1)[1])
        self.history = read_history(self.run_dir / "history.csv")[:done]
        return done

    @property
    def best(self) -> dict | None:
        """The selected epoch's row of the history."""
        if not self.history:
            return None
        return max(self.history, key=lambda row: row[f"validation_{OVERALL}"])

    def on_epoch_end(self, epoch, logs=None):
        """Validates, then writes model, history, summaries, checkpoint."""
        if not self.writes:
            return
        accuracy = self._validate()
        row = {
            "epoch": epoch + 1,
            "learning_rate": self.rate_of_epoch(epoch),
            **{name: float(value) for name, value in logs.items()},
            **{f"validation_{d}": value for d, value in accuracy.items()},
            **self._target_accuracy(),
            "seconds": self.timer.seconds,
            "images_per_second": self.timer.images_per_second,
        }
        self.history.append(row)
        if self.best is row:
            with replacing(self.run_dir / "model.keras") as temporary:
                self.model.save(temporary)
        write_text(self.run_dir / "history.csv", history_csv(self.history))
        self._summarize(epoch + 1, row)
        with writing(self.run_dir / "checkpoint"):
            self._manager.save(checkpoint_number=epoch + 1)
        if self.on_epoch:
            self.on_epoch(row)

    def on_train_end(self, logs=None):
        """Closes the summaries."""
        if self._writer:
            self._writer.close()

    def _validate(self) -> dict[str, float]:
        predictions = self._evaluator(self.validation, self.on_validation)
        table = predictions.accuracy(self.source_domains)
        return table[self.model.selection_rule]

    def _target_accuracy(self) -> dict[str, float]:
        if self.target is None:
            return {}
        predictions = self._target_evaluator(self.target)
        accuracy = predictions.accuracy([OVERALL])[TARGET_RULE][OVERALL]
        return {TARGET_COLUMN: accuracy}

    def _summarize(self, epoch, row):
        with writing(self.run_dir / "logs"):
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(
                    str(self.run_dir / "logs")
                )
            with self._writer.as_default(epoch):
                for name, value in row.items():
                    if name != "epoch":
                        group = (
                            "validation"
                            if name.startswith("validation_")
                            else "training"
                        )
                        label = name.removeprefix("validation_")
                        tf.summary.scalar(f"{group}/{label}", value)
                self._summarize_masks()
                if epoch == 1 and self.pictures:
                    for name, image in self.pictures().items():
                        tf.summary.image(f"images/{name}", image[tf.newaxis])
            self._writer.flush()

    def _summarize_masks(self):
        measures = self.model.measures()
        for site, pairs in measures.get("mask_iou", {}).items():
            for pair, value in pairs.items():
                name = f"mask_iou_of_pairs/{site}/{pair.replace('|', ' & ')}"
                if pair == "mean":
                    name = f"mask_iou/{site}"
                tf.summary.scalar(name, value)
        for site, shares in measures.get("mask_density", {}).items():
            for domain, share in shares.items():
                tf.summary.scalar(f"mask_density/{site}/{domain}", share)
