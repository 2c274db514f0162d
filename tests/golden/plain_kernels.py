"""The tolerances without allowance, on TensorFlow's kernels without oneDNN.

oneDNN's batch normalisation sums its statistics less exactly than TensorFlow's
own kernel, which is enough to flip units behind a ReLU. Without it nothing is
left of `FLIPS` for ResNet-18 but the predictions after three steps of Adam.

TF_ENABLE_ONEDNN_OPTS=0 python -m tests.golden.plain_kernels
"""

import os
import sys

FILES = ("dmg_resnet18", "dmg_resnet18_three_layers")


def main() -> int:
    """Prints each value that is too far off; returns whether there is one."""
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
        print("set TF_ENABLE_ONEDNN_OPTS=0", file=sys.stderr)
        return 2
    from tests.golden import compute
    from tests.golden.files import errors_of, load, quantity_of

    too_far = checked = 0
    for name in FILES:
        expected, meta = load(name)
        for key, error in errors_of(compute.dmg(meta), expected).items():
            if key.startswith("final/eval/"):
                continue
            checked += 1
            if not error <= quantity_of(key)[1]:  # NaN is too far, too
                too_far += 1
                print(f"{name} {key}: {error:.1e}")
    print(f"{checked} values compared, {too_far} too far off")
    return int(too_far > 0 or checked < 200)


if __name__ == "__main__":
    sys.exit(main())
