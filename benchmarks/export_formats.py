"""What each export format weighs, how exact it is, and how fast.

python -m benchmarks.export_formats --backbone resnet18 efficientnet_lite0

Models have random weights: neither size nor speed depends on them. All files
take turns on one image, so that a slow moment of the machine hits all of them;
what is printed are medians, and medians of ratios to the SavedModel's Pred-Ens.
"""

import argparse
import gc
import pathlib
import sys
import tempfile
import time

import numpy as np

from dmg_tf.console.quiet import load_tensorflow, quiet_converter

DOMAINS = ("photo", "cartoon", "sketch")
RESULTS = {"class_names": [f"class {index}" for index in range(7)]}
# Column title: how the exported model predicts.
RULES = {
    "Pred-Ens": {},
    "Mask-Ens": {"prediction_rule": "mask_ens"},
    "folded": {"fold": True},
}
FORMATS = (
    ("saved_model", "float32"),
    ("saved_model", "float16"),
    ("tflite", "float32"),
    ("tflite", "float16"),
    ("tflite", "int8"),
    ("onnx", "float32"),
    ("onnx", "float16"),
)


class GeneratedSample:
    """Calibration images where there is no run: blurred noise."""

    def __init__(self, count: int):
        self.examples = range(count)

    def images(self, size: int):
        """Yields uint8 [1, size, size, 3]."""
        import tensorflow as tf

        rng = np.random.default_rng(1)
        for index in self.examples:
            small = rng.uniform(0, 255, (1, 3 + index % 14, 3 + index % 14, 3))
            image = tf.image.resize(small, [size, size])
            yield tf.cast(image, tf.uint8).numpy()

    def compared_images(self, size: int) -> np.ndarray:
        """Returns uint8 [N, size, size, 3]."""
        return np.concatenate(list(self.images(size))[-4:])


def runner_of(path: pathlib.Path):
    """Returns a function that takes uint8 [1, S, S, 3] and predicts."""
    if path.suffix == ".tflite":
        import tensorflow as tf

        with quiet_converter():
            interpreter = tf.lite.Interpreter(str(path), num_threads=2)
            runner = interpreter.get_signature_runner()
        return lambda image: runner(images=image)["logits"]
    if path.suffix == ".onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        # Its threads would go on spinning while the next file runs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        return lambda image: session.run(["logits"], {"images": image})[0]
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda image: loaded.predict(image)["logits"].numpy()


def logits_difference(path, model, rule, images) -> float:
    """Returns a SavedModel's largest difference of a logit."""
    from dmg_tf.data.images.transforms import normalize

    run = runner_of(path)
    found = np.concatenate([run(image[np.newaxis]) for image in images])
    expected = model.logits(normalize(images, model.mean, model.std), rule)
    return float(np.abs(found - expected.numpy()).max())


def export_all(model, folder: pathlib.Path, calibration: int):
    """Writes every format by every rule.

    Returns:
        {(format, precision, rule's title): (path, bytes, largest difference of
        a logit)}.
    """
    from dmg_tf.commands import export
    from dmg_tf.export.single_file import generated_images

    images = generated_images(model.image_size)
    found = {}
    for name, precision in FORMATS:
        chosen = export.FORMATS[name]
        for title, options in RULES.items():
            path = folder / f"{name}-{precision}-{title}{chosen.suffix or ''}"
            more = {}
            if precision == "int8":
                more["calibration"] = GeneratedSample(calibration)
            metadata = chosen.load()(
                model, RESULTS, path, precision=precision, **options, **more
            )
            if "comparison" in metadata:
                difference = metadata["comparison"]["logits"]
            else:
                difference = logits_difference(
                    path, model, metadata["prediction_rule"], images
                )
            files = [p for p in (path, *path.rglob("*")) if p.is_file()]
            size = sum(p.stat().st_size for p in files)
            found[name, precision, title] = (path, size, difference)
            gc.collect()  # graphs with all weights in them
    return found


def measure(runners, image_size: int, rounds: int) -> dict:
    """Returns {key: seconds of each call}, the calls taken in turn."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, image_size, image_size, 3), np.uint8)
    keys = list(runners)
    seconds = {key: [] for key in keys}
    for turn in range(rounds + 3):
        # In another order each turn: a call may find warm or cold caches.
        for index in rng.permutation(len(keys)):
            key = keys[index]
            begin = time.perf_counter()
            runners[key](image)
            if turn >= 3:
                seconds[key].append(time.perf_counter() - begin)
    return {key: np.asarray(values) for key, values in seconds.items()}


def print_table(backbone, image_size, found, seconds) -> None:
    """Prints a Markdown table: a line a format."""
    print(f"\n{backbone}, {image_size} px, one image a call, 2 threads\n")
    print(f"| format | MB | largest difference | {' | '.join(RULES)} |")
    print("|---|---|---|" + "---|" * len(RULES))
    base = seconds["saved_model", "float32", "Pred-Ens"]
    for name, precision in FORMATS:
        keys = [(name, precision, title) for title in RULES]
        cells = [
            f"{1 / np.median(seconds[key]):.1f} "
            f"({np.median(base / seconds[key]):.2f})"
            for key in keys
        ]
        size = found[keys[0]][1] / 1e6
        difference = max(found[key][2] for key in keys)
        print(
            f"| {name} {precision} | {size:.1f} | {difference:.1e} | "
            f"{' | '.join(cells)} |"
        )


def main(argv=None) -> int:
    """Prints a table a backbone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--backbone", nargs="+", default=["resnet18", "efficientnet_lite0"]
    )
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calibration-images", type=int, default=50)
    args = parser.parse_args(argv)
    load_tensorflow()
    from dmg_tf.methods.build import build_model

    for backbone in args.backbone:
        model = build_model(
            "dmg", backbone, 7, DOMAINS, image_size=args.image_size
        )
        for mask in model.domain_masks.values():
            # As after long training: far from all alike, far from one half.
            rng = np.random.default_rng(0)
            mask.mask_logits.assign(rng.normal(0, 3, mask.mask_logits.shape))
        with tempfile.TemporaryDirectory() as folder:
            found = export_all(
                model, pathlib.Path(folder), args.calibration_images
            )
            runners = {key: runner_of(item[0]) for key, item in found.items()}
            seconds = measure(runners, args.image_size, args.rounds)
        print_table(backbone, args.image_size, found, seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
