"""What a training is made of, made before its first step."""

import dataclasses

import keras
import numpy as np

from dmg_tf.config import RunConfig
from dmg_tf.data.examples import DomainData
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.devices.devices import Devices
from dmg_tf.devices.strategy import prepare_fit
from dmg_tf.evaluation.images import RunImages
from dmg_tf.layers.batch_norm import batch_norms
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.learning import MAIN
from dmg_tf.methods.sharpness import Sharpness
from dmg_tf.methods.smoothed_labels import CrossEntropy
from dmg_tf.runs.writing import RunFolder
from dmg_tf.training.averages.weights import Average, make_average
from dmg_tf.training.first_weights.fitted import fit_classifier
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
        average: Of the weights.
        folder: The run's.
        devices: The run's.
    """

    model: DomainModel
    images: RunImages
    stream: TrainingStream
    length: Length
    schedule: EpochSchedule
    average: Average
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
    schedule = EpochSchedule(
        config.learning_rate,
        config.schedule,
        steps,
        max(1, length.steps),  # none at all where only a head is fitted
        round((config.warmup or 0.0) * steps),
    )
    model.total_steps = length.steps
    with devices.strategy.scope():
        _compile(model, config, images.data, schedule)
    if config.classifier_init == "fitted" and not folder.has_checkpoint:
        fit_classifier(model, images, devices)
    prepare_fit(model)
    average = make_average(model, config)
    return Setup(
        model, images, stream, length, schedule, average, folder, devices
    )


def balanced(labels, num_classes: int) -> list[float]:
    """Returns weights by which all classes count alike, of mean 1 an image.

    Args:
        labels: int [N]; a class without any gets 0.
        num_classes: C.
    """
    counts = np.bincount(labels, minlength=num_classes)
    shares = np.divide(
        len(labels), counts, out=np.zeros(num_classes), where=counts > 0
    )
    return (shares / np.count_nonzero(counts)).tolist()


def _compile(
    model, config: RunConfig, data: DomainData, schedule: EpochSchedule
) -> None:
    model.gradient_clip = config.gradient_clip
    if config.class_weights == "balanced":
        model.class_weights = balanced(data.train.labels, model.num_classes)
    if config.sharpness != "none":
        model.sharpness = Sharpness(
            kind=config.sharpness,
            radius=config.sharpness_radius,
            alpha=config.sharpness_alpha or 0.0,
        )
    for layer in batch_norms([model]):
        layer.frozen = config.freeze_batch_norm
    if config.train != "all":
        for layer in batch_norms([model.feature_extractor]):
            layer.frozen = True

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

    loss = None
    if config.label_smoothing:
        loss = CrossEntropy(label_smoothing=config.label_smoothing)
    model.compile(optimizer(MAIN), loss=loss, jit_compile=config.jit)
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
