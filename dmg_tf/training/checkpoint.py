"""The state of a run that goes on exactly where it was."""

import pathlib

import tensorflow as tf

from dmg_tf.files import writing
from dmg_tf.methods.learning import MAIN


class Checkpoint:
    """The last state of a run: all variables of model and optimisers.

    Args:
        model: A `DomainModel`, compiled, its optimizers built.
        path: The folder of the checkpoint.
    """

    def __init__(self, model, path: pathlib.Path):
        self._path = path
        further = {
            name: _values(optimizer.variables)
            for name, optimizer in model.optimizers.items()
            if name != MAIN
        }
        # Every variable by itself: Keras does not hand the seeds' states to
        # TensorFlow's checkpoints when it is given the model as a whole.
        checkpoint = tf.train.Checkpoint(
            model=_values(model.variables),
            optimizer=_values(model.optimizer.variables),
            **({"optimizers": further} if further else {}),
        )
        self._manager = tf.train.CheckpointManager(
            checkpoint, str(path), max_to_keep=1
        )

    def save(self, number: int) -> None:
        """Writes the state.

        Args:
            number: What `restore` returns.

        Raises:
            UserError: If it can't be written.
        """
        with writing(self._path):
            self._manager.save(checkpoint_number=number)

    def restore(self) -> int:
        """Loads the state that was written last.

        Returns:
            Its number; 0 if there is none.
        """
        latest = self._manager.latest_checkpoint
        if not latest:
            return 0
        self._manager.checkpoint.restore(latest).assert_consumed()
        return int(latest.rsplit("-", 1)[1])


def _values(variables) -> list[tf.Variable]:
    return [variable.value for variable in variables]
