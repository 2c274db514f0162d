"""The networks that benchmarks compare: ours, plain Keras', PyTorch's."""

DOMAINS = ("art_painting", "cartoon", "photo")
CLASSES = 7


def ours(
    method: str,
    backbone: str,
    image_size: int,
    precision="float32",
    sharpness: str | None = None,
    domains=DOMAINS,
    classes=CLASSES,
):
    """Returns our model, compiled as a run compiles it."""
    import keras

    from dmg_tf.methods.build import build_model
    from dmg_tf.methods.sharpness import Sharpness
    from dmg_tf.training.optimizers import Adam
    from dmg_tf.training.schedules import EpochSchedule

    keras.config.set_dtype_policy(precision)
    model = build_model(
        method, backbone, classes, domains, image_size=image_size
    )
    model.total_steps = 1000
    if sharpness:
        model.sharpness = Sharpness(kind=sharpness)
    schedule = EpochSchedule(1e-4, "exponential", 100)
    model.compile(optimizer=Adam(schedule, l2=1e-5))
    model.use_optimizers(
        {name: Adam(schedule, l2=1e-5) for name in model.trained_apart()}
    )
    for name, optimizer in model.optimizers.items():
        optimizer.build(model.trained_by(name))
    return model


def plain_keras(backbone: str, image_size: int):
    """Returns the same network with Keras' own layers, Adam and step."""
    import keras

    from dmg_tf.layers.batch_norm import FusedBatchNorm
    from dmg_tf.methods.build import build_model

    model = build_model(
        "aggregate", backbone, CLASSES, DOMAINS, image_size=image_size
    )

    def swap(layer):
        if isinstance(layer, FusedBatchNorm):
            return keras.layers.BatchNormalization(
                epsilon=layer.epsilon, momentum=layer.momentum
            )
        return layer.__class__.from_config(layer.get_config())

    inputs = x = keras.Input((image_size, image_size, 3))
    for stage in (*model.feature_extractor.layers, *model.task_network.stages):
        if isinstance(stage, keras.Model):
            stage = keras.models.clone_model(stage, clone_function=swap)
        x = stage(x)
    plain = keras.Model(inputs, x)
    plain.compile(
        optimizer=keras.optimizers.Adam(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return plain


def in_torch(backbone: str):
    """Returns torchvision's network, or None where it has none."""
    import torchvision

    make = getattr(torchvision.models, backbone, None)
    return make(num_classes=CLASSES) if make else None
