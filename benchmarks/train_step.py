"""How long a training step takes: methods beside each other and plain Keras.

python -m benchmarks.train_step --backbone resnet18 --image-size 64

Steps of all variants are taken in turn, so that a slow moment of the machine
hits all of them; what is printed are medians, and medians of ratios.
"""

import argparse
import sys
import time

import numpy as np

from dmg_tf.quiet import load_tensorflow

DOMAINS = ("a", "b", "c")


def variants(backbone: str, image_size: int):
    """Yields (name, compiled model) for each variant."""
    import keras

    from dmg_tf.layers.batch_norm import FusedBatchNorm
    from dmg_tf.methods.build import build_model
    from dmg_tf.training.optimizers import Adam

    for method in ("aggregate", "dmg"):
        model = build_model(method, backbone, 7, DOMAINS, image_size=image_size)
        model.compile(optimizer=Adam(1e-4, l2=1e-5))
        yield method, model

    # The same network with Keras' own layers, optimiser and step.
    ours = build_model("aggregate", backbone, 7, DOMAINS, image_size=image_size)

    def swap(layer):
        if isinstance(layer, FusedBatchNorm):
            return keras.layers.BatchNormalization(
                epsilon=layer.epsilon, momentum=layer.momentum
            )
        return layer.__class__.from_config(layer.get_config())

    inputs = x = keras.Input((image_size, image_size, 3))
    for stage in (*ours.feature_extractor.layers, *ours.task_network.stages):
        if isinstance(stage, keras.Model):
            stage = keras.models.clone_model(stage, clone_function=swap)
        x = stage(x)
    plain = keras.Model(inputs, x)
    plain.compile(
        optimizer=keras.optimizers.Adam(1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    yield "plain Keras", plain


def measure(backbone, image_size, batch_size, steps):
    """Returns {variant: seconds of each step}."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    shape = (batch_size, image_size, image_size, 3)
    image = tf.constant(rng.normal(size=shape).astype(np.float32))
    ids = tf.constant(rng.integers(0, 3, batch_size).astype(np.int32))
    labels = tf.constant(rng.integers(0, 7, batch_size).astype(np.int32))
    runs = {}
    for name, model in variants(backbone, image_size):
        inputs = image if name == "plain Keras" else {}
        if name != "plain Keras":
            inputs = {"image": image, "domain_ids": ids}
        data = tf.data.Dataset.from_tensors((inputs, labels)).repeat()
        function = model.make_train_function() or model.train_function
        runs[name] = (function, iter(data))
    seconds = {name: [] for name in runs}
    for step in range(steps + 3):
        for name, (function, iterator) in runs.items():
            begin = time.perf_counter()
            logs = function(iterator)
            float(logs["loss"])  # the step has really ended
            if step >= 3:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def main(argv=None) -> int:
    """Prints one line a variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=15)
    args = parser.parse_args(argv)
    load_tensorflow()
    seconds = measure(
        args.backbone, args.image_size, args.batch_size, args.steps
    )
    base = np.asarray(seconds["aggregate"])
    print(
        f"{args.backbone}, {args.image_size} px, batch {args.batch_size}, "
        f"median of {args.steps} steps"
    )
    for name, values in seconds.items():
        values = np.asarray(values)
        print(
            f"{name:12s} {np.median(values) * 1e3:8.1f} ms  "
            f"{args.batch_size / np.median(values):7.1f} images/s  "
            f"{np.median(values / base):.3f} x aggregate"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
