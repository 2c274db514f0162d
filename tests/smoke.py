"""Exports a run in every format and loads each file without this package.

python -m tests.smoke RUN_DIR

Each file is loaded in a process of its own that has its runtime alone, predicts
the same images, and is compared with the Keras model.
"""

import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

from dmg_tf.console.quiet import load_tensorflow

# (name, further arguments of the export, largest difference of a logit as a
# share of the largest logit)
EXPORTS = (
    ("saved_model", (), 1e-5),
    ("saved_model_16", ("--precision", "float16"), 1e-2),
    ("folded", ("--fold",), 1e-5),
    ("model.tflite", ("--format", "tflite"), 1e-4),
    (
        "model_int8.tflite",
        ("--format", "tflite", "--precision", "int8"),
        0.5,
    ),
    ("model.onnx", ("--format", "onnx"), 1e-4),
)
IMAGES = 20

_SAVED_MODEL = """
import tensorflow as tf
model = tf.saved_model.load(path)
logits = model.predict(images)["logits"].numpy()
"""
_TFLITE = """
from ai_edge_litert.interpreter import Interpreter
runner = Interpreter(path).get_signature_runner()
scale, zero = runner.get_output_details()["logits"]["quantization"]
logits = np.concatenate(
    [runner(images=image[np.newaxis])["logits"] for image in images]
)
if logits.dtype != np.float32:
    logits = (logits.astype(np.float32) - zero) * scale
"""
_ONNX = """
import onnxruntime
session = onnxruntime.InferenceSession(path)
logits = session.run(["logits"], {"images": images})[0]
"""
_PROGRAM = """
import sys
import numpy as np
path, images, out = sys.argv[1:]
sys.modules["dmg_tf"] = sys.modules["keras"] = None  # not to be imported
images = np.load(images)
%s
np.save(out, logits)
"""


def predicted_alone(path: pathlib.Path, images: pathlib.Path) -> np.ndarray:
    """Predicts in a new process, outside of this package's folder."""
    runtime = {".tflite": _TFLITE, ".onnx": _ONNX}.get(
        path.suffix, _SAVED_MODEL
    )
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/logits.npy"
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                _PROGRAM % runtime,
                *(str(path), str(images), out),
            ],
            cwd=folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise RuntimeError(f"{path} can't be loaded:\n{done.stderr}")
        return np.load(out)


def main(argv=None) -> int:
    """Prints a line a file; returns 1 if one differs too much."""
    [run_dir] = map(pathlib.Path, argv or sys.argv[1:])
    run_dir = run_dir.absolute()
    load_tensorflow()
    from dmg_tf.commands import export
    from dmg_tf.config import RunConfig
    from dmg_tf.data.images.transforms import normalize
    from dmg_tf.data.streams.evaluation import ImageSpec, evaluation_dataset
    from dmg_tf.evaluation.images import load_data
    from dmg_tf.runs.folder import load_run_model

    model = load_run_model(run_dir)
    target = load_data(RunConfig.read(run_dir)).out_of_domain
    some = target.select(np.linspace(0, len(target) - 1, IMAGES).astype(int))
    spec = ImageSpec(model.image_size, (0, 0, 0), (1 / 255,) * 3)
    [(inputs, _)] = evaluation_dataset(some, spec, IMAGES)
    images = np.round(inputs["image"].numpy()).astype(np.uint8)
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "images.npy"
        np.save(file, images)
        for name, further, limit in EXPORTS:
            begin = time.monotonic()
            out = run_dir / name
            if export.main([str(run_dir), str(out), *further]):
                return 1
            found = predicted_alone(out, file)
            pixels = normalize(images, model.mean, model.std)
            rule = "mask_ens" if "--fold" in further else "pred_ens"
            expected = model.logits(pixels, rule).numpy()
            off = np.abs(found - expected).max() / np.abs(expected).max()
            worst = max(worst, off / limit)
            print(
                f"  loaded alone: off by {off:.1e} of the largest logit, at "
                f"most {limit:.0e}; {time.monotonic() - begin:.0f} s",
                flush=True,
            )
    return int(worst > 1)


if __name__ == "__main__":
    sys.exit(main())
