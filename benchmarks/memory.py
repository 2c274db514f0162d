"""How much memory does a training step need at most?

python -m benchmarks.memory --backbones resnet18

Resident memory of a process that has taken a few steps; on a GPU the device's
own memory counts instead, which this does not see.
"""

import sys

from benchmarks.side_by_side import make_parser, print_table
from benchmarks.train_step import variants_of


def main(argv=None) -> int:
    """Prints one table a backbone."""
    args = make_parser(
        __doc__,
        backbones=["resnet18"],
        image_size=224,
        batch_size=32,
        rounds=3,
    ).parse_args(argv)
    for backbone in args.backbones:
        rows = []
        for variant in variants_of(backbone, args):
            for _ in range(args.rounds):
                variant.ask()
            rows.append((variant.name, f"{variant.ask('memory') / 1e9:.2f}"))
            variant.close()
        print_table(
            f"Peak memory of {args.rounds} training steps of {backbone}, "
            f"{args.image_size} px, batch {args.batch_size}",
            ("", "GB"),
            rows,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
