"""Writes a trained model as a SavedModel, for TensorFlow without this package.

python -m dmg_tf.export RUN_DIR OUT [--fold] [--precision float16]
"""

import contextlib
import json
import os
import pathlib
import sys
import tempfile
from typing import Any

# TensorFlow is loaded by the functions that need it: after the arguments of the
# command line were checked.
from dmg_tf.config import OneLineParser
from dmg_tf.errors import UserError
from dmg_tf.quiet import load_tensorflow

PRECISIONS = ("float32", "float16")
# What a folded network computes.
FOLDED_RULE = "mask_ens"

FORMAT_VERSION = 1
METADATA_FILE = "metadata.json"

# Parts of `results.json` that a user of the model needs to judge it. Paths on
# the machine that trained it stay there.
_SUMMARY = (
    "counts",
    "in_domain_split",
    "in_domain",
    "out_of_domain",
    "selection",
    "mask_iou",
    "mask_density",
    "timing",
)
_PATHS = ("data", "output")


def export_run(
    run_dir: str | pathlib.Path,
    out_dir: str | pathlib.Path,
    **options,
) -> dict[str, Any]:
    """Exports the selected model of a run folder.

    It computes in float32, whatever precision it was trained in: its weights
    are float32, and servers' processors are slow in 16 bits.

    Args:
        run_dir: A finished run.
        out_dir: See `export_saved_model`.
        **options: As for `export_saved_model`.

    Returns:
        The metadata.

    Raises:
        UserError: If the run is not finished, and as `export_saved_model`.
    """
    from dmg_tf.training.run_folder import load_run_model, read_results
    from dmg_tf.training.scoring import dtype_policy

    check_out_dir(pathlib.Path(out_dir), options.get("replace", False))
    results = read_results(run_dir)
    with dtype_policy("float32"):
        model = load_run_model(run_dir)
        # Its layers are new and follow the policy; its own is from the file.
        model.dtype_policy = "float32"
        return export_saved_model(model, results, out_dir, **options)


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
    `assets/metadata.json` and in the signature `metadata`.

    Args:
        model: A built `DomainModel`.
        results: What `results.json` holds; `class_names` is needed, in the
            order of the logits, and of the rest what there is.
        out_dir: Folder to write, which appears whole or not at all.
        prediction_rule: How `serving_default` predicts; None for the method's
            first rule.
        fold: Multiply the mean mask into the weights behind it: one plain
            network that predicts by `mask_ens` (paper, Sec. 7.3).
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

    from dmg_tf.export_network import stored_network
    from dmg_tf.export_signatures import serving_module

    out_dir = pathlib.Path(out_dir)
    check_out_dir(out_dir, replace)
    if len(results["class_names"]) != model.num_classes:
        raise ValueError(
            f"got {len(results['class_names'])} class names for a model of "
            f"{model.num_classes} classes"
        )
    rule = _checked_rule(model, prediction_rule, fold)
    network = stored_network(model, fold, precision)
    metadata = _describe(model, results, rule, fold, precision)
    text = json.dumps(metadata, indent=2)
    module, signatures = serving_module(model, network, rule, text)
    with _new_folder(out_dir) as folder, tempfile.TemporaryDirectory() as aside:
        asset = pathlib.Path(aside) / METADATA_FILE
        asset.write_text(text + "\n", "utf-8")
        module.metadata_file = tf.saved_model.Asset(str(asset))
        tf.saved_model.save(module, str(folder), signatures)
    return metadata


def check_out_dir(out_dir: pathlib.Path, replace: bool = False) -> None:
    """Raises UserError if a folder can't be written there."""
    if out_dir.exists() and not out_dir.is_dir():
        raise UserError(f"{out_dir} is a file; give a folder")
    if not replace and out_dir.is_dir() and any(out_dir.iterdir()):
        raise UserError(f"{out_dir} is not empty; give another folder")


@contextlib.contextmanager
def _new_folder(out_dir):
    """Gives a temporary name beside `out_dir`, then moves it there."""
    from dmg_tf.training.files import remove_folder, writing

    temporary = out_dir.with_name(f".{os.getpid()}-{out_dir.name}")
    with writing(out_dir):
        out_dir.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            remove_folder(out_dir)
            os.replace(temporary, out_dir)
        finally:
            remove_folder(temporary)


def _checked_rule(model, rule, fold) -> str:
    if rule is None:
        return FOLDED_RULE if fold else model.prediction_rules[0]
    if fold and rule != FOLDED_RULE:
        raise UserError(
            f"a folded model predicts by {FOLDED_RULE!r}, not by {rule!r}"
        )
    model.check_rules([rule], domain_ids=())
    if rule.startswith("known_domain"):
        raise UserError(
            f"the prediction rule {rule!r} needs the domain of each image; "
            "the signature 'known_domain' takes it"
        )
    return rule


def _describe(model, results, rule, fold, precision) -> dict[str, Any]:
    config = {
        name: value
        for name, value in results.get("config", {}).items()
        if name not in _PATHS
    }
    if "weights" in config:
        config["weights"] = pathlib.PurePath(config["weights"]).name
    return {
        "format_version": FORMAT_VERSION,
        "method": config.get("method", type(model).__name__),
        "backbone": model.backbone,
        "class_names": list(results["class_names"]),
        "source_domains": list(model.source_domains),
        "mask_sites": list(model.domain_masks),
        "prediction_rule": rule,
        "folded": fold,
        "precision": precision,
        "image_size": model.image_size,
        "mean": list(model.mean),
        "std": list(model.std),
        "training": {
            "config": config,
            **{name: results[name] for name in _SUMMARY if name in results},
        },
    }


def make_parser() -> OneLineParser:
    """Returns the parser."""
    parser = OneLineParser(
        prog="python -m dmg_tf.export", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run_dir", metavar="RUN_DIR", help="a run folder")
    parser.add_argument("out", metavar="OUT", help="the folder to write")
    parser.add_argument(
        "--fold",
        action="store_true",
        help="multiply the mean mask into the weights behind it (Mask-Ens at "
        "the cost of one plain network)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default=PRECISIONS[0],
        help="how weights are stored; float16 takes half the space "
        "(default: float32)",
    )
    parser.add_argument(
        "--prediction-rule",
        metavar="RULE",
        help="how serving_default predicts: pred_ens, mask_ens, mask/<domain>, "
        "head/<domain> (default: pred_ens, and mask_ens with --fold)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the program; returns its exit code."""
    args = make_parser().parse_args(argv)
    try:
        check_out_dir(pathlib.Path(args.out))
        load_tensorflow()
        metadata = export_run(
            args.run_dir,
            args.out,
            prediction_rule=args.prediction_rule,
            fold=args.fold,
            precision=args.precision,
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    files = [p for p in pathlib.Path(args.out).rglob("*") if p.is_file()]
    size = sum(path.stat().st_size for path in files)
    print(
        f"{args.out}: {size / 1e6:.1f} MB, {metadata['precision']}, predicts "
        f"by {metadata['prediction_rule']}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
