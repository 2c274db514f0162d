"""What happens after each epoch: validation, the method's hooks, files."""

from collections.abc import Callable, Mapping

import keras

from dmg_tf.errors import DamagedFile, UserError
from dmg_tf.folders.checksums import checked_path
from dmg_tf.runs.folder import HISTORY, MODEL
from dmg_tf.runs.history import history_csv, read_history
from dmg_tf.training.callbacks import Timer
from dmg_tf.training.checkpoint import Checkpoint
from dmg_tf.training.selection import Selection
from dmg_tf.training.setup import Setup
from dmg_tf.training.tensorboard.pictures import first_pictures
from dmg_tf.training.tensorboard.summaries import Summaries


class EpochKeeper(keras.callbacks.Callback):
    """Validates after each epoch, keeps the best model, and writes the files.

    Files are written in the order best model, history, checkpoint. So a run
    killed between them repeats one epoch and writes the same again. Of several
    machines the chief alone scores and writes; the scores are told to all, and
    each calls the method's hooks.

    Args:
        setup: The training's.
        timer: Gives seconds and rate; comes before this in the callbacks.

    Attributes:
        selection: Has the history, and says which epoch is kept.
        on_row: Called with each finished row of the history; may be set.
        ended: Whether the run ends before its last epoch.
    """

    def __init__(self, setup: Setup, timer: Timer):
        super().__init__()
        self.on_row: Callable[[dict], None] = lambda row: None
        self.ended = False
        self.set_model(setup.model)
        self._average, self._stream = setup.average, setup.stream
        self.selection = Selection(
            setup.model, setup.images, self._average.at_end
        )
        self._length, self._schedule = setup.length, setup.schedule
        self._folder, self._devices = setup.folder, setup.devices
        self._sources = setup.images.sources
        self._timer = timer
        self._checkpoint = Checkpoint(
            setup.model, setup.folder, self._average.variables
        )
        self._summaries = Summaries(
            setup.folder.logs,
            setup.images.config.to_json(),
            lambda: first_pictures(setup.stream, setup.images.data),
        )

    def restore(self) -> int:
        """Loads the last checkpoint, if there is one.

        Returns:
            The number of epochs that are done.

        Raises:
            UserError: If a file that the run goes on from is damaged or gone.
        """
        done = self._checkpoint.restore()
        path = self._folder.work / HISTORY
        rows = read_history(path) if done or path.exists() else []
        if not done and len(rows) > 1:
            raise UserError(
                f"the run in {self._folder.path} has no checkpoint to go on "
                "from; start one in another --output"
            )
        if done:
            if len(rows) < done:
                raise DamagedFile(f"{path} ends before epoch {done}")
            self.selection.history = rows[:done]
            self._check_model()
            self._look_back()
        return done

    def _check_model(self) -> None:
        """Raises UserError if the model that was kept is not as it was."""
        if self.selection.last:
            return
        try:
            checked_path(self._folder.work, MODEL)
        except FileNotFoundError as error:
            raise DamagedFile(
                f"{error.filename} is gone: put it back from a copy, or start "
                "a run in another --output"
            ) from error

    def on_train_batch_end(self, batch, logs=None):
        """Lets the average look at the weights."""
        self._average.after_step()

    def on_epoch_end(self, epoch, logs=None):
        """Validates, then writes model, history, summaries, checkpoint."""
        rate = float(self._schedule(epoch * self._length.period))
        row = self._keep(
            self._length.epoch_after(epoch + 1),
            {
                "learning_rate": rate,
                **{name: float(value) for name, value in logs.items()},
            },
        )
        logs.update(row)  # for the callbacks behind this one
        if self._devices.chief:
            self._summaries.write(epoch + 1, row, self.model.measures())
            self._checkpoint.save(epoch + 1)
        self.on_row(row)
        if self.ended:
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """Closes the summaries."""
        self._summaries.close()

    def keep_untrained(self) -> None:
        """Validates a model that takes no step, and keeps it."""
        rate = float(self._schedule(0))
        self.on_row(self._keep(0, {"learning_rate": rate}))

    def finish(self) -> None:
        """Makes and keeps the model of a run that selects the last."""
        if not self.selection.last:
            return
        self._average.finish(self.selection.losses, self._stream)
        self.selection.average = self._average.summary()
        if self.model.spec.selects == "last":
            self.model.finish(self._sources)
        with self.model.scored_weights():
            self.selection.final = self._scored({})
            self._save_model()

    def _keep(self, epoch: float, numbers: Mapping[str, float]) -> dict:
        """Validates, keeps the model if it is the best; returns the row."""
        if self._devices.chief:
            self._folder.check()
        with self._average.in_place(), self.model.scored_weights():
            row = {"epoch": epoch, **self._scored(numbers)}
            self.selection.history.append(row)
            if self.selection.saves(row):
                self._save_model()
        self._look_back()
        if self._devices.chief:
            history = history_csv(self.selection.history)
            self._folder.checksums.write_text(HISTORY, history)
        return row

    def _look_back(self) -> None:
        """Lets method and average look at all validations so far."""
        self.model.on_validation(self.selection.history)
        ended = self._average.after_validation(self.selection.losses)
        self.ended = ended or self.selection.patience_ended

    def _scored(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Adds the scores of the model as it is to what is known of it."""
        self.model.before_validation(self._sources)
        columns = self.selection.columns
        scores = [0.0] * len(columns)
        if self._devices.chief:
            scores = self.selection.scores()
        row = {
            **numbers,
            **dict(zip(columns, scores, strict=True)),
            "seconds": self._timer.seconds,
            "images_per_second": self._timer.images_per_second,
        }
        # Of several machines only the chief has scored it.
        values = self._devices.from_chief(list(row.values()))
        return dict(zip(row, values, strict=True))

    def _save_model(self) -> None:
        if self._devices.chief:
            with self._folder.checksums.replacing(MODEL) as temporary:
                self.model.save(temporary)
