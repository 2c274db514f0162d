"""What does a step of each method cost beside Aggregate's?

python -m benchmarks.methods --image-size 64 --batch-size 63

Each method takes turns with Aggregate, in processes of their own, on one batch
in memory. Memory is the process' largest after its steps. `sam` and `sagm` are
steps of Aggregate that look nearby for their gradient.
"""

import sys

import numpy as np

from benchmarks.side_by_side import (
    Variant,
    make_parser,
    print_table,
    ratio,
    run,
)
from benchmarks.train_step import worker

WRAPPED = {"sam": {"sharpness": "sam"}, "sagm": {"sharpness": "sagm"}}
AGGREGATE = "aggregate"


def all_names() -> list[str]:
    """Returns the names of all rows."""
    import dmg_tf.methods  # noqa: F401  (fills the registry)
    from dmg_tf.registry import METHODS

    return [*METHODS.names(), *WRAPPED]


def measure(names, args) -> dict[str, tuple[str, str, str]]:
    """Returns {name: (time, its ratio, memory's ratio)} as text."""
    options = {
        "backbone": args.backbone,
        "image_size": args.image_size,
        "batch_size": args.batch_size,
    }
    variants = {
        name: Variant(
            name,
            "methods",
            method=AGGREGATE if name in WRAPPED else name,
            **options,
            **WRAPPED.get(name, {}),
        )
        for name in dict.fromkeys([AGGREGATE, *names])
    }
    seconds = {name: [] for name in variants}
    try:
        for turn in range(-2, args.rounds):
            for name, variant in variants.items():
                value = variant.ask()
                if turn >= 0:
                    seconds[name].append(value)
        memory = {n: v.ask("memory") for n, v in variants.items()}
    finally:
        for variant in variants.values():
            variant.close()
    return {
        name: (
            f"{1000 * np.median(seconds[name]):.0f}",
            ratio(seconds, name, AGGREGATE),
            f"{memory[name] / memory[AGGREGATE]:.2f}",
        )
        for name in names
    }


def main(args) -> None:
    """Prints one table, a row a method."""
    names = args.methods or all_names()
    rows = {}
    # Few at once: each that waits for its turn holds its memory.
    for start in range(0, len(names), 3):
        group = names[start : start + 3]
        rows |= measure(group, args)
        print(f"measured {', '.join(group)}", file=sys.stderr)
    print_table(
        f"Training step of {args.backbone}, {args.image_size} px, batch "
        f"{args.batch_size}, beside Aggregate's, median of {args.rounds}",
        ("", "ms", "time", "peak memory"),
        [(name, *row) for name, row in rows.items()],
    )


PARSER = make_parser(
    __doc__,
    methods=[],
    backbone="resnet18",
    image_size=64,
    batch_size=63,
    rounds=5,
)

if __name__ == "__main__":
    sys.exit(run(PARSER, worker, main))
