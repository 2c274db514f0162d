"""A folder for a model hub: the model, its numbers, and a card that says both.

The card is Markdown with a head in YAML, as huggingface.co reads it (Mitchell
et al., "Model Cards for Model Reporting", FAT* 2019, for what it tells).
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from dmg_tf.data.names import in_words
from dmg_tf.evaluation.metrics.intervals import percent
from dmg_tf.evaluation.metrics.summary import metrics_csv
from dmg_tf.export.saved_model import check_out_dir, export_saved_model
from dmg_tf.files import replacing_folder
from dmg_tf.folders.checksums import Checksums
from dmg_tf.registry import DATASETS, METHODS
from dmg_tf.report.verdict import (
    between,
    cautions,
    headline,
    headline_rule,
    interval,
    measured_target,
    scored_images,
    sureness,
)
from dmg_tf.runs.folder import CONFIG, METRICS, MODEL
from dmg_tf.runs.predictions import OUT_OF_DOMAIN, OVERALL
from dmg_tf.settings import markdown_table

CARD, SAVED_MODEL = "README.md", "saved_model"
# Of the paper that the package is built after.
_CITATION = """\
@inproceedings{chattopadhyay2020dmg,
  title     = {Learning to Balance Specificity and Invariance for In and Out of
               Domain Generalization},
  author    = {Chattopadhyay, Prithvijit and Balaji, Yogesh and Hoffman, Judy},
  booktitle = {European Conference on Computer Vision (ECCV)},
  year      = {2020}
}"""


def export_hub(
    model,
    results: dict[str, Any],
    out_dir: str | pathlib.Path,
    *,
    prediction_rule: str | None = None,
    fold: bool = False,
    precision: str = "float32",
    replace: bool = False,
) -> dict[str, Any]:
    """Writes the files of a model hub's repository.

    They are `README.md`, the card; `saved_model/`, which needs TensorFlow
    alone; `model.keras`, for this package; `metrics.csv`; and `config.json`,
    which says how images are prepared and how the model was trained. None has
    a path of the machine that trained it.

    Args:
        model: A built `DomainModel`; it loses its optimizer.
        results: What `results.json` of its run holds.
        out_dir: Folder to write, which appears whole or not at all.
        prediction_rule: As for `export_saved_model`.
        fold: Likewise.
        precision: Likewise, of `saved_model/`.
        replace: Whether a folder that is there already may be replaced.

    Returns:
        The metadata.

    Raises:
        UserError: As `export_saved_model`.
    """
    out_dir = pathlib.Path(out_dir)
    check_out_dir(out_dir, replace)
    with replacing_folder(out_dir) as folder:
        metadata = export_saved_model(
            model,
            results,
            folder / SAVED_MODEL,
            prediction_rule=prediction_rule,
            fold=fold,
            precision=precision,
        )
        # What only training goes on with is two more copies of the weights.
        model.optimizer, model.compiled = None, False
        model.save(folder / MODEL)
        _write(folder / CONFIG, json.dumps(metadata, indent=2) + "\n")
        _write(folder / METRICS, metrics_csv(results))
        _write(folder / CARD, model_card(results, metadata, out_dir.name))
        names = (MODEL, CONFIG, METRICS, CARD)
        Checksums(folder).update(sorted(names))
    return metadata


def _write(path: pathlib.Path, text: str) -> None:
    path.write_text(text, "utf-8")


def model_card(
    results: Mapping[str, Any], metadata: Mapping[str, Any], name: str
) -> str:
    """Returns the card of a model.

    Args:
        results: What `results.json` of its run holds.
        metadata: As an export returns it.
        name: What the model is called.
    """
    config = results["config"]
    title = METHODS[config["method"]].title
    classes = metadata["class_names"]
    sources = metadata["source_domains"]
    size = metadata["image_size"]
    limits = [
        *cautions(results),
        "any image is given one of the classes above, also one that shows none",
        "numbers are those of the domains in the table; on another domain it "
        "may be worse, and less sure than it says",
    ]
    parts = [
        _head(results, name),
        f"# {name}",
        headline(results) + ".",
        f"{title} on {metadata['backbone']} tells {len(classes)} classes: "
        f"{', '.join(classes)}. It was trained on {in_words(sources)}, and "
        f"takes RGB images, which it resizes to {size} x {size} pixels.",
        "## Numbers",
        _numbers(results),
        "Accuracy with its 95 % interval (Wilson). Precision, recall and F1 by "
        f"class are in `{METRICS}`.",
        *sureness(results),
        "## Data",
        _data(results),
        "## Limits",
        "\n".join(f"- {line}" for line in limits),
        "## Use",
        "With TensorFlow alone:",
        _python(
            "import json",
            "import tensorflow as tf",
            "",
            f'model = tf.saved_model.load("{name}/{SAVED_MODEL}")',
            'predict = model.signatures["serving_default"]',
            'image = tf.io.decode_image(tf.io.read_file("image.jpg"), 3)',
            "answer = predict(image[tf.newaxis])",
            f'names = json.load(open("{name}/{CONFIG}"))["class_names"]',
            'probabilities = answer["probabilities"][0].numpy()',
            "print(names[probabilities.argmax()], probabilities.max())",
        ),
        f"`dmg-tf predict {name}/{SAVED_MODEL} IMAGES` writes a table of many; "
        f'`keras.models.load_model("{name}/{MODEL}")` after `import dmg_tf` '
        "gives the Keras model.",
        "## Training",
        f"{METHODS[config['method']].summary.capitalize()} "
        f"({METHODS[config['method']].paper}). All settings are in "
        f"`{CONFIG}`, under `training`.",
        "## Licence",
        "Not stated. Weights follow the licence of the images, and of the "
        "weights that training began with: write it here and into the head of "
        "this page (`license:`) before you publish.",
        "## Citation",
        f"```bibtex\n{_CITATION}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _head(results, name) -> str:
    import yaml

    config = results["config"]
    rule = headline_rule(results).name
    data = DATASETS[config["dataset"]].title
    measured = [(results["in_domain"], "sources")]
    if rule in results[OUT_OF_DOMAIN]:
        target = measured_target(results)
        measured.append((results[OUT_OF_DOMAIN], f"{target}, never seen"))
    head = {
        "license": "unknown",
        "library_name": "keras",
        "pipeline_tag": "image-classification",
        "tags": ["domain-generalization", "dmg_tf", config["method"]],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {
                            "name": f"{data} ({of})",
                            "type": config["dataset"],
                        },
                        "metrics": [
                            {
                                "type": "accuracy",
                                "value": round(part[rule][OVERALL], 4),
                            }
                        ],
                    }
                    for part, of in measured
                ],
            }
        ],
    }
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---"


def _numbers(results) -> str:
    rule = headline_rule(results).name
    rows = []
    for part, of in ((OUT_OF_DOMAIN, "never seen"), ("in_domain", "source")):
        images = scored_images(results, part)
        for domain, share in results[part].get(rule, {}).items():
            if domain == OVERALL:
                continue
            known = interval(results, part, rule, domain)
            rows.append(
                (
                    domain,
                    of,
                    f"{images[domain]:,}",
                    f"{percent(share, known)} %",
                    between(known),
                )
            )
    return markdown_table(
        ("domain", "", "images", "accuracy", "interval"), rows
    )


def _data(results) -> str:
    counts = results["counts"]
    domains = list(
        dict.fromkeys(name for part in counts.values() for name in part)
    )
    return markdown_table(
        ("images", *domains),
        [
            (
                part.replace("_", " "),
                *(f"{images.get(name, 0):,}" for name in domains),
            )
            for part, images in counts.items()
        ],
    )


def _python(*lines: str) -> str:
    return "\n".join(("```python", *lines, "```"))
