"""What makes the tests of searches quick: a small network, and no training."""

import hashlib
import json
import pathlib

from dmg_tf.data import detect_dataset
from dmg_tf.experiment import RunResult


def accuracy_of(config, epochs, what):
    """A number from 0 to 1 that depends on the settings alone."""
    values = config.to_json()
    del values["output"], values["epochs"]
    text = json.dumps([values, epochs, what], sort_keys=True)
    return int(hashlib.sha256(text.encode()).hexdigest()[:6], 16) / 16**6


def fake_training(config, resume):
    """Stands in for `run_training`: the files of a finished run, at once."""
    assert resume
    config = config.resolve(detect_dataset(config.dataset, config.data))
    run_dir = pathlib.Path(config.output)
    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.json").write_text(json.dumps(config.to_json()))
    # The files of the epochs before are gone on with.
    history = run_dir / "history.csv"
    done = history.read_text().splitlines() if history.exists() else []
    rows = [f"epoch {i + 1}" for i in range(len(done), config.epochs)]
    history.write_text("".join(f"{row}\n" for row in [*done, *rows]))

    def number(what):
        return accuracy_of(config, config.epochs, what)

    results = {
        "config": config.to_json(),
        "class_names": ["x", "y", "z"],
        "source_domains": ["a", "b"],
        "in_domain_split": "validation",
        "in_domain": {"pred_ens": {"overall": number("in")}},
        "out_of_domain": {"pred_ens": {"overall": number("out")}},
        "selection": {"epoch": 1, "value": number("validation")},
        "mask_iou": {
            site: {"a|b": number(site), "mean": number(site)}
            for site in ("body", "fc")
        },
        "timing": {"train_seconds": 1.5},
    }
    (run_dir / "results.json").write_text(json.dumps(results))
    return RunResult(run_dir, results, None)
