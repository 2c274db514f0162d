"""What does predicting under several masks cost?

python -m benchmarks.evaluation --backbones resnet18 resnet50 alexnet

Each rule's step is compared with a plain network's; "mask by mask" runs the
whole network once a source domain, as the official code does.
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
)

RULES = ("plain", "pred_ens", "mask_ens", "known_domain", "mask by mask")


def worker(
    rule,
    backbone,
    image_size,
    batch_size,
    domains=models.DOMAINS,
    classes=models.CLASSES,
):
    """Returns the function that predicts a batch and gives its seconds."""
    import tensorflow as tf

    from dmg_tf.evaluation.evaluator import Evaluator

    method = "aggregate" if rule == "plain" else "dmg"
    model = models.ours(
        method, backbone, image_size, domains=domains, classes=classes
    )
    rng = np.random.default_rng(0)
    shape = (batch_size, image_size, image_size, 3)
    images = tf.constant(rng.normal(size=shape).astype(np.float32))
    ids = tf.constant(np.arange(batch_size) % len(domains), tf.int32)
    if rule == "mask by mask":
        steps = [
            _step_of(Evaluator(model, [f"mask/{domain}"]), images, ids)
            for domain in domains
        ]
    else:
        rule = "pred_ens" if rule == "plain" else rule
        steps = [_step_of(Evaluator(model, [rule]), images, ids)]

    def measure():
        begin = time.perf_counter()
        for step in steps:
            for value in step(images, ids).values():
                value.numpy()
        return time.perf_counter() - begin

    return measure


def _step_of(evaluator, images, ids):
    """Returns the compiled step that evaluation takes."""
    import tensorflow as tf

    spec = {
        "image": tf.TensorSpec.from_tensor(images),
        "domain_ids": tf.TensorSpec.from_tensor(ids),
    }
    return evaluator.step_for(spec)


def main(args) -> None:
    """Prints one table a backbone."""
    for backbone in args.backbones:
        found = compare(
            [
                Variant(
                    rule,
                    "evaluation",
                    rule=rule,
                    backbone=backbone,
                    image_size=args.image_size,
                    batch_size=args.batch_size,
                )
                for rule in RULES
            ],
            args.rounds,
        )
        print_table(
            f"Prediction of {backbone}, three source domains, "
            f"{args.image_size} px, batch {args.batch_size}, median of "
            f"{args.rounds} rounds",
            ("", "images/s", "time / plain"),
            [
                (
                    rule,
                    f"{args.batch_size / np.median(seconds):.1f}",
                    ratio(found, rule, "plain"),
                )
                for rule, seconds in found.items()
            ],
        )


PARSER = make_parser(
    __doc__,
    backbones=["resnet18", "resnet50", "alexnet", "efficientnet_lite0"],
    image_size=224,
    batch_size=32,
    rounds=9,
)

if __name__ == "__main__":
    sys.exit(run(PARSER, worker, main))
