"""What grows with the number of domains, classes, files, pixels and devices?

python -m benchmarks.scale

Each curve has one number that grows. Its exponent is the slope of the last
three points on logarithmic axes: 1 is in proportion, 0 is not at all.
"""

import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np

from benchmarks import evaluation, models, train_step
from benchmarks.side_by_side import Variant, make_parser, print_table, run

BATCH = 100
CURVES = {
    "step of DMG, by source domains": ("step", "domains"),
    "Pred-Ens, by source domains": ("evaluation", "domains"),
    "step of DMG, by classes": ("step", "classes"),
    "Pred-Ens, by classes": ("evaluation", "classes"),
    "step of DMG, by pixels of a side": ("step", "image_size"),
    "step of DMG, by devices that share two cores": ("step", "replicas"),
    "listing a folder of classes, by files": ("folder", "files"),
    "listing a table, by files": ("table", "files"),
    "listing PACS' lists, by files": ("lists", "files"),
    "evaluations in one process": ("repeated", "times"),
}
VALUES = {
    "domains": (2, 5, 10, 20, 50),
    "classes": (10, 100, 1000, 10_000),
    "image_size": (32, 64, 128, 224),
    "replicas": (1, 2, 4),
    "files": (10_000, 100_000, 1_000_000),
    "times": (10, 100, 1000),
}
WARM_UP = {"step": 2, "evaluation": 2}  # turns that do not count
_DOMAINS = ("art_painting", "cartoon", "photo", "sketch")


def worker(kind, backbone, batch_size, value, growing, folder=None):
    """Returns the function that does the work once and gives its seconds."""
    if kind in ("folder", "table", "lists"):
        return _listing(kind, folder)
    if kind == "repeated":
        return _repeated(value)
    sizes = {"domains": 3, "classes": 7, "image_size": 64, "replicas": 1}
    sizes |= {growing: value}
    sizes["domains"] = [f"d{i}" for i in range(sizes["domains"])]
    with _strategy(sizes.pop("replicas")).scope():
        options = {"backbone": backbone, "batch_size": batch_size, **sizes}
        if kind == "step":
            return train_step.worker("dmg", **options)
        return evaluation.worker("pred_ens", **options)


def _strategy(replicas):
    import tensorflow as tf

    if replicas == 1:
        return tf.distribute.get_strategy()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * replicas
    )
    return tf.distribute.MirroredStrategy(
        [f"/cpu:{i}" for i in range(replicas)]
    )


def _timed(once):
    def measure():
        begin = time.perf_counter()
        once()
        return time.perf_counter() - begin

    return measure


def _listing(kind, folder):
    from dmg_tf.data import detect_dataset
    from dmg_tf.registry import DATASETS

    where = f"{folder}/table.csv" if kind == "table" else folder

    def once():
        name = detect_dataset("folder" if kind == "folder" else "auto", where)
        DATASETS[name].load(where, _DOMAINS[-1], None, 0)

    return _timed(once)


def _repeated(times):
    """Scores the same images again and again, each time from the start."""
    import tensorflow as tf

    from dmg_tf.evaluation.evaluator import Evaluator

    model = models.ours("dmg", "conv4", 32)
    ids = tf.zeros((8,), tf.int32)
    inputs = {"image": tf.zeros((8, 32, 32, 3)), "domain_ids": ids}
    data = tf.data.Dataset.from_tensors((inputs, ids))

    def once():
        for _ in range(times):
            Evaluator(model, ["pred_ens"])(data)

    return _timed(once)


def write_files(kind: str, root: pathlib.Path, files: int) -> None:
    """Writes so many empty files: none is opened where images are listed."""
    rows, lists = [], {domain: [] for domain in _DOMAINS}
    classes = (
        "dog",
        "elephant",
        "giraffe",
        "guitar",
        "horse",
        "house",
        "person",
    )
    for domain in _DOMAINS:
        for name in classes:
            (root / domain / name).mkdir(parents=True)
    for index in range(files):
        domain = _DOMAINS[index % 4]
        label = index // 4 % len(classes)
        name = f"{domain}/{classes[label]}/{index:07d}.jpg"
        (root / name).touch()
        rows.append(f"{name},{classes[label]},{domain}\n")
        lists[domain].append(f"{name} {label + 1}\n")
    if kind == "table":
        (root / "table.csv").write_text("path,label,domain\n" + "".join(rows))
    if kind == "lists":
        for domain, lines in lists.items():
            cut = len(lines) * 9 // 10
            for split, part in (
                ("train", lines[:cut]),
                ("crossval", lines[cut:]),
                ("test", lines),
            ):
                path = root / "splits" / f"{domain}_{split}_kfold.txt"
                path.parent.mkdir(exist_ok=True)
                path.write_text("".join(part))


def _point(kind, growing, value, args) -> tuple[float, int]:
    """Returns the median time and the peak memory of one point."""
    with tempfile.TemporaryDirectory() as folder:
        if growing == "files":
            write_files(kind, pathlib.Path(folder), value)
        variant = Variant(
            f"{kind} {value}",
            "scale",
            kind=kind,
            backbone=args.backbone,
            batch_size=args.batch_size,
            value=value,
            growing=growing,
            folder=folder,
        )
        try:
            for _ in range(WARM_UP.get(kind, 0)):
                variant.ask()
            seconds = [variant.ask() for _ in range(args.rounds)]
            return statistics.median(seconds), variant.ask("memory")
        finally:
            variant.close()


def exponent(values, found) -> float:
    """Returns the slope of the last three points on logarithmic axes."""
    return float(np.polyfit(np.log(values[-3:]), np.log(found[-3:]), 1)[0])


def main(args) -> None:
    """Prints one table."""
    rows = []
    for title, (kind, growing) in CURVES.items():
        if args.curves and growing not in args.curves:
            continue
        most = args.most or max(VALUES[growing])
        values = [value for value in VALUES[growing] if value <= most]
        points = []
        for value in values:
            print(f"{title}: {value:,}", file=sys.stderr)
            points.append(_point(kind, growing, value, args))
        seconds, memory = zip(*points, strict=True)
        rows.append(
            (
                title,
                ", ".join(f"{value:,}" for value in values),
                ", ".join(f"{s:.3g}" for s in seconds),
                f"{exponent(values, seconds):.2f}",
                ", ".join(f"{m / 1e9:.2f}" for m in memory),
                f"{exponent(values, memory):.2f}",
            )
        )
    print_table(
        f"{args.backbone}, batch {args.batch_size}, median of {args.rounds}",
        ("", "of", "s", "exponent", "peak GB", "exponent"),
        rows,
    )


PARSER = make_parser(
    __doc__,
    curves=[],
    backbone="resnet18",
    batch_size=BATCH,
    most=0,
    rounds=3,
)

if __name__ == "__main__":
    sys.exit(run(PARSER, worker, main))
