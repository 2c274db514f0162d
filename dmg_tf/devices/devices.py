"""The devices of a run: what they share out, and what they agree on."""

import contextlib
from collections.abc import Sequence

import tensorflow as tf

from dmg_tf.data.streams.training import Shard, TrainingStream
from dmg_tf.devices import machines
from dmg_tf.devices.strategy import make_strategy
from dmg_tf.errors import UserError


class Devices:
    """The devices that a run trains on, of one machine or several.

    As a context, it lets only the chief talk of what it does, and names the
    machine that was lost where TensorFlow says that one was.

    Args:
        name: As for `make_strategy`.

    Attributes:
        strategy: TensorFlow's strategy.
        chief: Whether this process writes files. Of several machines' it is
            one's.
        replicas: Number of devices of all machines.

    Raises:
        UserError: As for `make_strategy`.
    """

    def __init__(self, name: str):
        self.strategy = make_strategy(name)
        self.chief = machines.is_chief(self.strategy)
        self.replicas = self.strategy.num_replicas_in_sync

    def __enter__(self) -> "Devices":
        with contextlib.ExitStack() as stack:
            stack.enter_context(machines.as_worker(self.strategy))
            stack.enter_context(machines.naming_lost_workers(self.strategy))
            self._leave = stack.pop_all()
        return self

    def __exit__(self, *error):
        return self._leave.__exit__(*error)

    def check(self, batch_size: int, jit: bool) -> None:
        """Raises UserError for settings that these devices can't have.

        Args:
            batch_size: All must get equal parts of it.
            jit: Whether XLA is asked for, which several can't have.
        """
        if batch_size % self.replicas:
            more = -(-batch_size // self.replicas) * self.replicas
            raise UserError(
                f"--batch-size is the number of images a step on all "
                f"{self.replicas} devices together and must be a multiple of "
                f"it, got {batch_size}; try {more}"
            )
        if jit and self.replicas > 1:
            raise UserError(
                "--jit works on one device: Keras compiles the step of all "
                f"{self.replicas} as one, which XLA can't; leave it out, or "
                "use --strategy one"
            )

    def even_batch(
        self, batch_size: int, num_examples: int, num_domains: int = 1
    ) -> int:
        """Returns the batch size, or what there are images and devices for.

        Args:
            batch_size: What is asked for.
            num_examples: Number of images to learn from.
            num_domains: Number of domains that each device gets equally many
                images of; 1 where that does not matter.

        Raises:
            UserError: If not even one image of each is there for each device.
        """
        if num_examples < self.replicas:
            raise UserError(
                f"there are {num_examples} images to learn from, fewer than "
                f"the {self.replicas} devices; use --strategy one"
            )
        unit = self.replicas * num_domains
        if num_domains > 1 and min(batch_size, num_examples) < unit:
            raise UserError(
                f"--batch-size must be at least {unit}, an image of each of "
                f"the {num_domains} sources on each device, got {batch_size} "
                f"of {num_examples} images"
            )
        if num_domains > 1:
            batch_size = batch_size // unit * unit
        return min(batch_size, num_examples // unit * unit)

    def dataset(self, stream: TrainingStream, start_step: int):
        """Returns what `fit` trains on: to each replica its rows of a batch.

        Args:
            stream: Gives the batches; its batch size is that of all replicas.
            start_step: Steps that were taken already.
        """
        if not tf.distribute.has_strategy() and self.replicas == 1:
            return stream.dataset(start_step)
        return self.strategy.distribute_datasets_from_function(
            lambda place: stream.dataset(
                start_step,
                Shard(
                    place.input_pipeline_id,
                    place.num_input_pipelines,
                    self.replicas,
                ),
            )
        )

    def meet(self) -> None:
        """Returns once all machines are here."""
        machines.share(self.strategy, 0)

    def check_same_epoch(self, done: int, run_dir) -> None:
        """Raises UserError unless all machines found the same checkpoint."""
        machines.check_same_epoch(self.strategy, done, run_dir)

    def from_chief(self, numbers: Sequence[float]) -> list[float]:
        """Returns the chief's numbers, on all machines."""
        return machines.from_chief(self.strategy, numbers)
