"""Where does the time of a training step go?

python -m benchmarks.operations --image-size 64 --batch-size 63

TensorFlow's profiler times each operation of some steps. Operations that run
side by side count in full, so the sum may exceed the step.
"""

import collections
import itertools
import pathlib
import sys
import tempfile

from benchmarks.side_by_side import Variant, make_parser, print_table, run
from benchmarks.train_step import worker as step_of

_WARM_UP = 3
_SHOWN = 20


def worker(steps, **options):
    """Returns the function that profiles steps.

    It gives {"step": seconds, "operations": {kind: [calls, seconds]}}, a step.
    """
    step = step_of(**options)

    def measure():
        import tensorflow as tf

        for _ in range(_WARM_UP):
            step()
        with tempfile.TemporaryDirectory() as folder:
            with tf.profiler.experimental.Profile(folder):
                seconds = [step() for _ in range(steps)]
            (file,) = pathlib.Path(folder).rglob("*.xplane.pb")
            found = _operations(file.read_bytes())
        return {
            "step": sum(seconds) / steps,
            "operations": {
                kind: [calls / steps, total / steps]
                for kind, (calls, total) in found.items()
            },
        }

    return measure


def _operations(profile: bytes) -> dict[str, tuple[int, float]]:
    """Returns {kind of operation: (calls, seconds)} of a profile."""
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    (host,) = (
        plane
        for plane in XSpace.FromString(profile).planes
        if plane.name == "/host:CPU"
    )
    calls, seconds = collections.Counter(), collections.Counter()
    for event in itertools.chain(*(line.events for line in host.lines)):
        # An operation is called NAME:KIND, all else is without a kind.
        name = host.event_metadata[event.metadata_id].name
        _, colon, kind = name.partition(":")
        if colon and kind.isidentifier():
            calls[kind] += 1
            seconds[kind] += 1e-12 * event.duration_ps
    return {kind: (calls[kind], seconds[kind]) for kind in calls}


def main(args) -> None:
    """Prints one table a method."""
    for method in args.methods:
        variant = Variant(
            method,
            "operations",
            method=method,
            backbone=args.backbone,
            image_size=args.image_size,
            batch_size=args.batch_size,
            precision=args.precision,
            steps=args.steps,
        )
        try:
            found = variant.ask()
        finally:
            variant.close()
        operations = found["operations"]
        total = sum(seconds for _, seconds in operations.values())
        order = sorted(operations.items(), key=lambda item: -item[1][1])
        print_table(
            f"{method} on {args.backbone}, {args.image_size} px, batch "
            f"{args.batch_size}: a step of {1000 * found['step']:.0f} ms, its "
            f"operations {1000 * total:.0f} ms",
            ("operation", "calls", "ms", "share"),
            [
                (
                    kind,
                    f"{calls:g}",
                    f"{1000 * seconds:.1f}",
                    f"{seconds / total:.1%}",
                )
                for kind, (calls, seconds) in order[:_SHOWN]
            ],
        )


PARSER = make_parser(
    __doc__,
    methods=["aggregate", "dmg"],
    backbone="resnet18",
    image_size=224,
    batch_size=32,
    precision="float32",
    steps=5,
)

if __name__ == "__main__":
    sys.exit(run(PARSER, worker, main))
