"""How long is it from the command to the first step, and where does it go?

python -m benchmarks.startup --data PACS
python -m benchmarks.startup --files 600000

Each round starts `train.py` anew and ends it after its first step. With --files
the data are an imitation of DomainNet: lists of so many images, 345 classes.
"""

import contextlib
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import dmg_tf_command  # noqa: F401
from benchmarks.side_by_side import (  # noqa: E402
    ROOT,
    make_parser,
    peak_memory,
    print_table,
)

STAGES = (
    "Python, arguments",
    "TensorFlow, Keras",
    "listing the data",
    "making the model",
    "loading weights",
    "optimiser, streams",
    "first step",
)
_CLASSES = 345


def first_step(begin: float, argv) -> dict[str, float]:
    """Runs `train.py` up to its first step.

    Args:
        begin: `time.time()` when the process was started.
        argv: Its arguments.

    Returns:
        Seconds of each stage, and the peak memory in bytes as "memory".
    """
    marks = [begin]

    def mark():
        marks.append(time.time())

    def mark_end_of(module, name):
        """Marks when a function of a module ends."""
        function = getattr(module, name)

        def timed(*args, **kwargs):
            result = function(*args, **kwargs)
            mark()
            return result

        setattr(module, name, timed)

    class Done(BaseException):
        """Leaves `train.main` from within."""

    from dmg_tf.commands import train

    load_tensorflow = train.load_tensorflow

    def load():
        mark()
        load_tensorflow()
        from dmg_tf import experiment as run
        from dmg_tf.training import callbacks

        mark()
        mark_end_of(run, "usable_data")
        mark_end_of(run, "make_model")
        mark_end_of(run, "load_initial_weights")
        fit = run.keras.Model.fit

        def timed_fit(*args, **kwargs):
            mark()
            return fit(*args, **kwargs)

        run.keras.Model.fit = timed_fit

        def step_ended(self, batch, logs=None):
            float(logs["loss"])
            mark()
            raise Done

        callbacks.Timer.on_train_batch_end = step_ended

    train.load_tensorflow = load
    with contextlib.suppress(Done):
        train.main(argv)
    seconds = dict(zip(STAGES, np.diff(marks).tolist(), strict=True))
    seconds["memory"] = peak_memory()
    return seconds


def _class_name(label: int) -> str:
    # DomainNet's labels do not follow the alphabet: capitals are among them.
    return f"{'The_' if 308 <= label <= 310 else ''}class_{label:03d}"


def imitation(root: pathlib.Path, files: int) -> None:
    """Writes DomainNet's layout with so many images listed."""
    import PIL.Image

    per_domain = files // 6
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (96, 96, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=50)
    contents = file.getvalue()
    for domain in (
        "clipart",
        "infograph",
        "painting",
        "quickdraw",
        "real",
        "sketch",
    ):
        for label in range(_CLASSES):
            (root / domain / _class_name(label)).mkdir(parents=True)
        names = []
        for index in range(per_domain):
            label = index % _CLASSES
            name = f"{domain}/{_class_name(label)}/{index:06d}.jpg"
            # No links: one file by two names is refused.
            (root / name).write_bytes(contents)
            names.append(f"{name} {label}\n")
        cut = int(0.7 * per_domain)
        (root / f"{domain}_train.txt").write_text("".join(names[:cut]))
        (root / f"{domain}_test.txt").write_text("".join(names[cut:]))


def main(args) -> None:
    """Prints one table."""
    with tempfile.TemporaryDirectory() as folder:
        data, what = args.data, "the built-in data"
        if args.files:
            data, what = f"{folder}/data", f"{args.files} listed files"
            imitation(pathlib.Path(data), args.files)
        elif data:
            what = "the files of --data"
        rounds = []
        for turn in range(args.rounds + 1):
            print(
                f"\rround {turn + 1} of {args.rounds + 1}",
                end="",
                file=sys.stderr,
            )
            argv = [
                *("--target", args.target, "--backbone", args.backbone),
                *("--weights", args.weights, "--epochs", "1"),
                *("--output", f"{folder}/run{turn}"),
                *(("--data", data) if data else ()),
            ]
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.startup",
                    "--worker",
                ],
                input=json.dumps({"begin": time.time(), "argv": argv}),
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(done.stderr[-2000:])
            if turn:  # the first round warms the file cache
                rounds.append(json.loads(done.stdout.splitlines()[-1]))
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    medians = {
        name: float(np.median([seconds[name] for seconds in rounds]))
        for name in rounds[0]
    }
    memory = medians.pop("memory")
    print_table(
        f"From the command to the end of the first step: {args.backbone}, "
        f"{what}, median of {args.rounds} rounds, warm file cache, peak "
        f"memory {memory / 1e9:.2f} GB",
        ("", "s"),
        [(name, f"{seconds:.1f}") for name, seconds in medians.items()]
        + [("all", f"{sum(medians.values()):.1f}")],
    )


PARSER = make_parser(
    __doc__,
    data=None,
    files=0,
    target="sketch",
    backbone="resnet18",
    weights="none",
    rounds=3,
)


def run(argv=None) -> int:
    """Runs the benchmark, or one round of it in a process of its own."""
    args = PARSER.parse_args(argv)
    if args.worker:
        print("\n" + json.dumps(first_step(**json.load(sys.stdin))))
    else:
        main(args)
    return 0


if __name__ == "__main__":
    sys.exit(run())
