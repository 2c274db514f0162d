"""Run folders without training, and a stand-in for `train.py` that makes them.

As a program it takes the flags of `train.py`. `FAKE_FAIL=text` makes runs fail
whose folder's name holds the text, `FAKE_KILL=text` end by a signal,
`FAKE_WAIT=seconds` take their time.
"""

import json
import os
import pathlib
import signal
import sys
import time

DOMAINS = ("a", "b", "c")


def accuracy(*place):
    """Returns a number that is a function of the place alone."""
    return sum(map(ord, "/".join(map(str, place)))) % 97 / 97


def results_of(config, domains=DOMAINS):
    """Returns what `results.json` of such a run could hold."""
    sources = [d for d in domains if d != config["target"]]
    rules = ["pred_ens"]
    masks, density = {}, {}
    if config["method"] == "dmg":
        rules += ["mask_ens", "known_domain", *(f"mask/{d}" for d in sources)]
        pairs = [
            f"{a}|{b}" for i, a in enumerate(sources) for b in sources[i + 1 :]
        ]
        weight = config["siou_weight"]
        for site in ("layer4", "fc"):
            table = {p: accuracy(site, p, weight) for p in pairs}
            masks[site] = {**table, "mean": sum(table.values()) / len(table)}
            density[site] = {d: accuracy(site, d) for d in sources}

    def row(rule, names):
        key = (
            rule,
            config["method"],
            config.get("siou_weight"),
            config["seed"],
        )
        row = {d: accuracy(d, *key) for d in names}
        return {**row, "overall": sum(row.values()) / len(row)}

    return {
        "config": config,
        "class_names": ["x", "y"],
        "source_domains": sources,
        "counts": {
            "train": dict.fromkeys(sources, 90),
            "validation": dict.fromkeys(sources, 10),
            "out_of_domain": {config["target"]: 100},
        },
        "selection": {"epoch": 1, "rule": "pred_ens", "value": 0.5},
        "timing": {"total_seconds": 61.0},
        "in_domain_split": "validation",
        "in_domain": {rule: row(rule, sources) for rule in rules},
        "out_of_domain": {
            rule: row(rule, [config["target"]])
            for rule in rules
            if rule != "known_domain"
        },
        "mask_iou": masks,
        "mask_density": density,
    }


def write_run(folder, name, domains=DOMAINS, **settings):
    """Writes a finished run folder; returns its results."""
    from dmg_tf.config import RunConfig

    settings["output"] = str(folder / name)
    config = RunConfig.from_json(settings)
    known = config.dataset != "auto"
    config = config.resolve(config.dataset if known else "folder")
    results = results_of(json.loads(json.dumps(config.to_json())), domains)
    (folder / name).mkdir(parents=True)
    for part, value in (("config", results["config"]), ("results", results)):
        (folder / name / f"{part}.json").write_text(json.dumps(value))
    epochs = [
        f"{epoch},{accuracy(name, epoch)}\n"
        for epoch in range(1, config.epochs + 1)
    ]
    text = "epoch,validation_overall\n" + "".join(epochs)
    (folder / name / "history.csv").write_text(text)
    (folder / name / "environment.json").write_text("{}")
    return results


def main():
    """Makes the run folder that the flags ask for."""
    sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
    import dmg_tf_command  # noqa: F401  (no TensorFlow)
    from dmg_tf.commands import train
    from dmg_tf.flags import config_from_args

    args = train.make_parser(sys.argv[1:]).parse_args()
    config = config_from_args(args)
    run_dir = pathlib.Path(config.output)
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES")
    threads = os.environ.get("TF_NUM_INTRAOP_THREADS")
    print(f"threads {threads}" + f", GPU {gpu}" * bool(gpu))
    time.sleep(float(os.environ.get("FAKE_WAIT", "0")))
    if os.environ.get("FAKE_KILL", "/") in run_dir.name:
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("FAKE_FAIL", "/") in run_dir.name:
        print("error: the disk is on fire\nbye", file=sys.stderr)
        sys.exit(2)
    if not args.resume:
        sys.exit("a sweep always goes on")
    settings = {k: v for k, v in config.to_json().items() if k != "output"}
    write_run(run_dir.parent, run_dir.name, **settings)


if __name__ == "__main__":
    main()
