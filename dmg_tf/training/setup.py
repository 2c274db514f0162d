"""What a training is made of, made before its first step."""

import dataclasses

import keras

from dmg_tf.config import RunConfig
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.devices.devices import Devices
from dmg_tf.devices.strategy import prepare_fit
from dmg_tf.evaluation.images import RunImages
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.learning import MAIN
from dmg_tf.runs.writing import RunFolder
from dmg_tf.training.length import Length
from dmg_tf.training.optimizers import OPTIMIZERS
from dmg_tf.training.schedules import EpochSchedule


@dataclasses.dataclass(frozen=True)
class Setup:
    """All that a training needs.

    Attributes:
        model: Compiled, its optimizers built.
        images: The run's.
        stream: What is learned from.
        length: How long the run is.
        schedule: The learning rate by step.
        folder: The run's.
        devices: The run's.
    """

    model: DomainModel
    images: RunImages
    stream: TrainingStream
    length: Length
    schedule: EpochSchedule
    folder: RunFolder
    devices: Devices


def set_up(
    model: DomainModel, images: RunImages, folder: RunFolder, devices: Devices
) -> Setup:
    """Prepares model and images for a run's training.

    Args:
        model: Built, with its first weights.
        images: The run's.
        folder: The run's.
        devices: The run's.

    Raises:
        UserError: If an image can't be read into the cache, or there are fewer
            images than devices.
    """
    config = images.config
    images.fill_cache()
    stream = images.training(devices)
    steps = stream.steps_per_epoch
    length = Length(config.epochs, steps, config.validate_every or steps)
    schedule = EpochSchedule(config.learning_rate, config.schedule, steps)
    model.total_steps = length.steps
    with devices.strategy.scope():
        _compile(model, config, schedule)
    prepare_fit(model)
    return Setup(model, images, stream, length, schedule, folder, devices)


def _compile(model, config: RunConfig, schedule: EpochSchedule) -> None:
    def optimizer(name):
        return OPTIMIZERS[config.optimizer](
            schedule,
            l2=config.weight_decay,
            rates=[
                model.rate_of(variable, config.learning_rate)
                for variable in model.trained_by(name)
            ],
            restart_at=model.restarts_at,
        )

    model.compile(optimizer=optimizer(MAIN), jit_compile=config.jit)
    further = {name: optimizer(name) for name in model.trained_apart()}
    if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
        # As `compile` has done with the main one.
        further = {
            name: keras.optimizers.LossScaleOptimizer(each)
            for name, each in further.items()
        }
    model.use_optimizers(further)
    for name, each in model.optimizers.items():
        each.build(model.trained_by(name))
