"""A protocol and files of its runs, without runs."""

import json

from dmg_tf.studies.protocols import Protocol

DOMAINS = ("a", "b", "c")
PROTOCOL = Protocol(
    name="small",
    title="Small",
    about="Two methods.",
    dataset="folder",
    sweeps=(
        "--methods aggregate dmg dmg:siou-weight=1 --seeds 0 1 --recipe paper",
    ),
    images=dict.fromkeys(DOMAINS, 90),
    labels={
        "aggregate": "Aggregate",
        "dmg": "DMG",
        "dmg:siou-weight=1": "DMG, λ_O 1",
        "official dmg": "DMG, official code",
    },
    compare=(("dmg", "aggregate"), ("dmg", "official dmg")),
    sensitivity_seeds=(0, 1),
    images_per_second={"resnet18": 10.0},
    seconds_beside=5.0,
    factors={"dmg": 2},
)


def write_file(folder, variant, target, seed, inside, outside, **more):
    """Writes a run's file; `inside` is the accuracy on all sources."""
    method, sources = variant.split(":")[0], [d for d in DOMAINS if d != target]
    config = {
        "method": method,
        "backbone": "resnet18",
        "optimizer": "adam",
        "target": target,
        "seed": seed,
    }
    rules = [{"name": "pred_ens", "title": "Pred-Ens"}]
    results = {"mask_iou": {}}
    accuracy = {**dict.fromkeys(sources, inside), "overall": inside}
    in_domain = {"pred_ens": accuracy}
    if method == "dmg":
        config["siou_weight"] = float(variant.partition("=")[2] or 0.1)
        config["sparsity_weight"] = 0.0
        known = {"name": "known_domain", "title": "known domain"}
        rules.append({**known, "needs_domain": True})
        known = {name: value + 0.02 for name, value in accuracy.items()}
        in_domain["known_domain"] = known
        for number, own in enumerate(sources):
            name = f"mask/{own}"
            rules.append(
                {"name": name, "title": name, "domain": own, "part": "mask"}
            )
            row = {d: inside - 0.1 * (number + 1) for d in sources}
            in_domain[name] = {**row, own: inside + 0.3, "overall": 0.0}
        results = {
            "mask_iou": {"fc": {"x|y": 0.75, "mean": 0.75}},
            "mask_keep": {"fc": {"x": 0.5, "y": 0.75}},
        }
    place = folder / "runs" / PROTOCOL.name
    place.mkdir(parents=True, exist_ok=True)
    values = {
        "protocol": PROTOCOL.name,
        "variant": variant,
        "config": config,
        "commit": "0123456789",
        "processor": {"name": "Ryzen", "avx512": True},
        "source_domains": sources,
        "in_domain": in_domain,
        "out_of_domain": {"pred_ens": {target: outside, "overall": outside}},
        "rules": rules,
        "timing": {"train_seconds": 30.0 if method == "dmg" else 20.0},
        **results,
        **more,
    }
    values = {name: v for name, v in values.items() if v is not None}
    name = f"{variant}-{target}-{seed}.json".replace(":", "-")
    (place / name).write_text(json.dumps(values))
    return place / name
