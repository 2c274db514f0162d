"""SavedModel: a folder that any TensorFlow loads and serves."""

import json
import pathlib
import tempfile
from typing import Any

# TensorFlow is loaded by the functions that need it, as in `export`.
from dmg_tf.errors import UserError
from dmg_tf.export.metadata import checked_rule, describe
from dmg_tf.files import replacing_folder
from dmg_tf.folders.checksums import Checksums

METADATA_FILE = "metadata.json"


def export_saved_model(
    model,
    results: dict[str, Any],
    out_dir: str | pathlib.Path,
    *,
    prediction_rule: str | None = None,
    fold: bool = False,
    precision: str = "float32",
    replace: bool = False,
) -> dict[str, Any]:
    """Writes a SavedModel that predicts from images as they come.

    Resizing and normalisation are inside. `serving_module` lists the
    signatures. What the model is and how well it did travels in
    `assets/metadata.json` and in the signature `metadata`. TensorFlow Serving
    finds requests to warm up with.

    Args:
        model: A built `DomainModel`.
        results: What `results.json` holds; `class_names` is needed, in the
            order of the logits, and of the rest what there is.
        out_dir: Folder to write, which appears whole or not at all.
        prediction_rule: How `serving_default` predicts; None for the method's
            first rule.
        fold: Write the plain network that predicts the same, if the method
            has one, e.g. of masks their mean, brought into the weights (paper,
            Sec. 7.3).
        precision: "float32", or "float16" for a file of half the size.
        replace: Whether a folder that is there already may be replaced.

    Returns:
        The metadata.

    Raises:
        UserError: If the folder is not empty or can't be written, a name is
            unknown, or the model can't be folded or stored in 16 bits.
        ValueError: If the class names are not as many as the logits.
    """
    import tensorflow as tf

    from dmg_tf.export.network import stored_network
    from dmg_tf.export.signatures import serving_module
    from dmg_tf.export.warmup import write_warmup

    out_dir = pathlib.Path(out_dir)
    check_out_dir(out_dir, replace)
    network = stored_network(model, fold, precision)
    rule = checked_rule(model, network.rules, prediction_rule, fold)
    rules = dict.fromkeys([rule, *network.rules])
    metadata = describe(
        model, results, [*rules], fold=fold, precision=precision
    )
    text = json.dumps(metadata, indent=2)
    module, signatures = serving_module(model, network, rule, text)
    with (
        replacing_folder(out_dir) as folder,
        tempfile.TemporaryDirectory() as aside,
    ):
        asset = pathlib.Path(aside) / METADATA_FILE
        asset.write_text(text + "\n", "utf-8")
        module.metadata_file = tf.saved_model.Asset(str(asset))
        tf.saved_model.save(module, str(folder), signatures)
        write_warmup(folder, metadata["method"], model.image_size)
        files = [path for path in folder.rglob("*") if path.is_file()]
        names = [path.relative_to(folder).as_posix() for path in files]
        Checksums(folder).update(sorted(names))
    return metadata


def check_out_dir(out_dir: pathlib.Path, replace: bool = False) -> None:
    """Raises UserError if a folder can't be written there."""
    if out_dir.exists() and not out_dir.is_dir():
        raise UserError(f"{out_dir} is a file; give a folder")
    if not replace and out_dir.is_dir() and any(out_dir.iterdir()):
        raise UserError(f"{out_dir} is not empty; give another folder")
