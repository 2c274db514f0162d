"""How long does one training step take?

python -m benchmarks.train_step --backbones resnet18 --image-size 224

The input is one batch in memory, so that nothing but the step is measured.
"""

import sys
import time

import numpy as np

from benchmarks import models
from benchmarks.side_by_side import (
    Variant,
    compare,
    make_parser,
    print_table,
    ratio,
    run,
    torch_python,
)

# (name, what the worker runs)
OURS = (
    ("aggregate", {"method": "aggregate"}),
    ("dmg", {"method": "dmg"}),
    ("dmg, bfloat16", {"method": "dmg", "precision": "mixed_bfloat16"}),
    ("dmg, fit", {"method": "dmg", "fit": True}),
)
STEPS_OF_FIT = 4


def worker(
    method,
    backbone,
    image_size,
    batch_size,
    precision="",
    fit=False,
    sharpness=None,
    domains=models.DOMAINS,
    classes=models.CLASSES,
):
    """Returns the function that takes one step and gives its seconds.

    The strategy in scope, if there is one, shares the batch out.
    """
    rng = np.random.default_rng(0)
    shape = (batch_size, image_size, image_size, 3)
    images = rng.normal(size=shape).astype(np.float32)
    labels = rng.integers(0, classes, batch_size)
    if method == "torch":
        return _torch_step(backbone, images, labels)
    import tensorflow as tf

    ids = tf.constant(np.arange(batch_size) % len(domains), tf.int32)
    labels = tf.constant(labels, tf.int32)
    images = tf.constant(images)
    if method == "plain":
        model, inputs = models.plain_keras(backbone, image_size), images
    else:
        model = models.ours(
            method,
            backbone,
            image_size,
            precision or "float32",
            sharpness,
            domains=domains,
            classes=classes,
        )
        inputs = {"image": images, "domain_ids": ids}
    data = tf.data.Dataset.from_tensors((inputs, labels)).repeat()
    if fit:
        return _fit(model, data)
    strategy = tf.distribute.get_strategy()
    data = strategy.experimental_distribute_dataset(data)
    model.make_train_function()
    iterator = iter(data)

    def step():
        begin = time.perf_counter()
        logs = model.train_function(iterator)
        float(logs["loss"])  # the step has really ended
        return time.perf_counter() - begin

    return step


def _fit(model, data):
    """Steps within `fit`, with the callbacks that a run has in each step."""
    import keras

    from dmg_tf.console.bar import Bar
    from dmg_tf.training.callbacks import StopOnBadLoss, Timer
    from dmg_tf.training.length import Length
    from dmg_tf.training.progress import ProgressCallback

    length = Length(1, STEPS_OF_FIT, STEPS_OF_FIT)

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.times.append(time.perf_counter())

    def step():
        clock = Clock()
        clock.times = []
        with Bar("training", STEPS_OF_FIT, "steps") as bar:
            model.fit(
                data,
                steps_per_epoch=STEPS_OF_FIT,
                shuffle=False,
                verbose=0,
                callbacks=[
                    StopOnBadLoss(),
                    Timer(1),
                    ProgressCallback(bar, length, model.spec.metrics),
                    clock,
                ],
            )
        return (clock.times[-1] - clock.times[0]) / (STEPS_OF_FIT - 1)

    return step


def _torch_step(backbone, images, labels):
    import torch

    model = models.in_torch(backbone).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, weight_decay=1e-5)
    images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(labels)

    def step():
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        float(loss)
        return time.perf_counter() - begin

    return step


def variants_of(backbone, args, names=None):
    """Returns the variants of one backbone."""
    options = {
        "backbone": backbone,
        "image_size": args.image_size,
        "batch_size": args.batch_size,
    }
    wanted = [("plain Keras", {"method": "plain"}), *OURS]
    variants = [
        Variant(name, "train_step", **options, **extra)
        for name, extra in wanted
        if names is None or name in names
    ]
    torch = torch_python(args.torch)
    # torchvision has no EfficientNet-Lite.
    if torch and backbone != "efficientnet_lite0":
        variants.append(
            Variant("PyTorch", "train_step", torch, method="torch", **options)
        )
    return variants


def main(args) -> None:
    """Prints one table a backbone."""
    for backbone in args.backbones:
        found = compare(
            variants_of(backbone, args, args.variants or None), args.rounds
        )
        rows = [
            (
                name,
                f"{args.batch_size / np.median(seconds):.1f}",
                ratio(found, "plain Keras", name),
                ratio(found, "PyTorch", name),
                ratio(found, name, "aggregate"),
                ratio(found, name, "dmg"),
            )
            for name, seconds in found.items()
        ]
        print_table(
            f"Training step of {backbone}, {args.image_size} px, batch "
            f"{args.batch_size}, median of {args.rounds} rounds",
            (
                "",
                "images/s",
                "x plain Keras",
                "x PyTorch",
                "time / aggregate",
                "time / dmg",
            ),
            rows,
        )


PARSER = make_parser(
    __doc__,
    backbones=["resnet18"],
    variants=[],
    image_size=224,
    batch_size=32,
    rounds=7,
)

if __name__ == "__main__":
    sys.exit(run(PARSER, worker, main))
