"""How exported files score on a run's own images, beside the Keras model.

python -m benchmarks.export_accuracy RUN_DIR x.tflite y.onnx saved_model

Files predict by the rule they were exported with; the line above each is the
Keras model by the same rule. Accuracies are in percent, on the images that
`results.json` scores: of the sources held out, and of the target.
"""

import argparse
import json
import pathlib
import sys

import numpy as np

from dmg_tf.console.quiet import load_tensorflow
from dmg_tf.errors import UserError


def read_metadata(path: pathlib.Path) -> dict:
    """Returns what an exported model says of itself."""
    if path.suffix == ".tflite":
        text = path.with_name(path.name + ".json").read_text("utf-8")
    elif path.suffix == ".onnx":
        import onnx

        found = onnx.load(path).metadata_props
        text = next(entry.value for entry in found if entry.key == "metadata")
    else:
        text = (path / "assets" / "metadata.json").read_text("utf-8")
    return json.loads(text)


def predictor_of(path: pathlib.Path):
    """Returns a function from uint8 [N, S, S, 3] to logits [N, C]."""
    if path.suffix == ".tflite":
        from dmg_tf.export.tflite import predict

        return lambda images: predict(path, images)
    if path.suffix == ".onnx":
        from dmg_tf.export.onnx import predict

        return lambda images: predict(path, images)
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    return lambda images: loaded.predict(images)["logits"].numpy()


def images_of(examples, size: int) -> np.ndarray:
    """Returns uint8 [N, size, size, 3]; they must fit into memory."""
    from dmg_tf.export.calibration import CalibrationSample

    return CalibrationSample(examples, examples).compared_images(size)


def main(argv=None) -> int:
    """Prints two lines a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run_dir", metavar="RUN_DIR")
    parser.add_argument("files", metavar="FILE", nargs="+", type=pathlib.Path)
    args = parser.parse_args(argv)
    load_tensorflow()
    from dmg_tf.config import RunConfig
    from dmg_tf.data.images.transforms import normalize
    from dmg_tf.evaluation.images import load_data
    from dmg_tf.runs.folder import load_run_model

    try:
        model = load_run_model(args.run_dir)
        data = load_data(RunConfig.read(args.run_dir))
        splits = {
            "in-domain": data.in_domain,
            f"target {data.target_domain}": data.out_of_domain,
        }
        images = {
            name: images_of(examples, model.image_size)
            for name, examples in splits.items()
        }
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    def line(title, predict):
        cells = []
        for name, examples in splits.items():
            found = np.concatenate(
                [
                    predict(images[name][i : i + 50])
                    for i in range(0, len(examples), 50)
                ]
            )
            hits = np.mean(found.argmax(-1) == examples.labels)
            cells.append(f"{name} {hits:7.2%} of {len(examples)}")
        print(f"{title:40s} {'  '.join(cells)}", flush=True)

    for path in args.files:
        metadata = read_metadata(path)
        rule = metadata["prediction_rule"]

        def keras_logits(pixels, rule=rule):
            pixels = normalize(pixels, model.mean, model.std)
            return model.logits(pixels, rule).numpy()

        line(f"Keras, {rule}", keras_logits)
        line(f"{path.name}, {metadata['precision']}", predictor_of(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
