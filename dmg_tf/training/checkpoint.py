"""The state of a run that goes on exactly where it was."""

import collections
import pathlib
import re
from collections.abc import Sequence

import tensorflow as tf

from dmg_tf.console.bar import print_error
from dmg_tf.errors import DamagedFile, UserError, first_line
from dmg_tf.files import writing
from dmg_tf.folders.checksums import checked_path, known_checksums
from dmg_tf.methods.learning import MAIN
from dmg_tf.runs.writing import RunFolder

_KEPT = 2  # should the last one be damaged, there is one before
_NAME = re.compile(r"ckpt-(\d+)\.(?:index|data-\d+-of-\d+)")


class Checkpoint:
    """The last states of a run: all variables of model and optimisers.

    Args:
        model: A `DomainModel`, compiled, its optimizers built.
        folder: The run's.
        average: Variables of the weights' average.
    """

    def __init__(
        self, model, folder: RunFolder, average: Sequence[tf.Variable] = ()
    ):
        self._folder = folder
        further = {
            name: _values(optimizer.variables)
            for name, optimizer in model.optimizers.items()
            if name != MAIN
        }
        # Every variable by itself: Keras does not hand the seeds' states to
        # TensorFlow's checkpoints when it is given the model as a whole.
        self._checkpoint = tf.train.Checkpoint(
            model=_values(model.variables),
            optimizer=_values(model.optimizer.variables),
            **({"optimizers": further} if further else {}),
            **({"average": list(average)} if average else {}),
        )
        self._manager = None
        self._kept: list[int] = []

    def save(self, number: int) -> None:
        """Writes the state, and removes that of before the last one.

        Args:
            number: What `restore` returns.

        Raises:
            UserError: If it can't be written.
        """
        path = self._folder.checkpoint
        with writing(path):
            if self._manager is None:
                # Its own small file is not read: what is whole is known.
                (path / "checkpoint").unlink(missing_ok=True)
                self._manager = tf.train.CheckpointManager(
                    self._checkpoint, str(path), max_to_keep=_KEPT
                )
            self._manager.save(checkpoint_number=number)
        self._kept = [*(n for n in self._kept if n != number), number]
        self._kept = self._kept[-_KEPT:]
        new, old = [], []
        for file in path.iterdir():
            found = _NAME.fullmatch(file.name)
            if found and int(found[1]) == number:
                new.append(self._listed(file))
            elif found and int(found[1]) not in self._kept:
                old.append(file)
        gone = {self._listed(file) for file in old}
        gone |= {
            name
            for n, names in self._known().items()
            for name in names
            if n not in self._kept
        }
        self._folder.checksums.update(new, gone)
        with writing(path):
            for file in old:
                file.unlink(missing_ok=True)

    def restore(self) -> int:
        """Loads the last whole state that was written.

        Returns:
            Its number; 0 if none was written.

        Raises:
            DamagedFile: If none of those that were written is whole.
            UserError: If it is of another model.
        """
        problems = []
        for number, names in sorted(self._known().items(), reverse=True):
            try:
                for name in names:
                    checked_path(self._folder.work, name)
                self._load(self._folder.checkpoint / f"ckpt-{number}")
            except FileNotFoundError as error:
                problems.append(f"{error.filename} is gone")
            except DamagedFile as error:
                problems.append(str(error))
            else:
                for problem in problems:
                    print_error(
                        f"warning: {problem}; going on from the checkpoint "
                        f"before, {number}"
                    )
                self._kept = [number]
                return number
        if problems:
            raise DamagedFile(
                f"{problems[0]}; there is no other checkpoint to go on from, "
                "start a run in another --output"
            )
        return 0

    def _load(self, path: pathlib.Path) -> None:
        try:
            self._checkpoint.restore(str(path)).assert_consumed()
        except (tf.errors.OpError, LookupError, UnicodeError) as error:
            raise DamagedFile(
                f"{path}.* is damaged: {first_line(error)}"
            ) from error
        except (AssertionError, ValueError) as error:
            raise UserError(
                f"the checkpoint {path} is of another model: "
                f"{str(error).splitlines()[0]}; start a run in another --output"
            ) from error

    def _known(self) -> dict[int, list[str]]:
        """Returns {number: names of its files}, as they are listed."""
        known = collections.defaultdict(list)
        for name in known_checksums(self._folder.work):
            found = _NAME.fullmatch(pathlib.PurePosixPath(name).name)
            if found:
                known[int(found[1])].append(name)
        return known

    def _listed(self, file: pathlib.Path) -> str:
        return file.relative_to(self._folder.work).as_posix()


def _values(variables) -> list[tf.Variable]:
    return [variable.value for variable in variables]
