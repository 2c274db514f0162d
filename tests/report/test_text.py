import json

import pytest

from dmg_tf.report.text import results_text, rule_name


@pytest.fixture
def results():
    row = {"a": 0.5, "b": 1.0, "overall": 0.75}
    return {
        "config": {
            "method": "dmg",
            "backbone": "x",
            "target": "t",
            "epochs": 9,
        },
        "counts": {
            "train": {"a": 90, "b": 80},
            "validation": {"a": 10, "b": 8},
            "out_of_domain": {"t": 123},
        },
        "in_domain_split": "validation",
        "selection": {"rule": "pred_ens", "epoch": 4, "value": 0.8125},
        "in_domain": {"pred_ens": row, "known_domain": row, "mask/a": row},
        "out_of_domain": {
            "pred_ens": {"t": 0.25, "overall": 0.25},
            "mask/a": {"t": 0.3333, "overall": 0.3333},
        },
        "mask_iou": {"fc": {"a|b": 0.625, "mean": 0.625}},
        "mask_density": {"fc": {"a": 0.5, "b": 0.75}},
    }


def cells(text, name):
    line = next(li for li in text.splitlines() if li.strip().startswith(name))
    return line.split()[len(name.split()) :]


def test_table(results):
    text = results_text(results)
    assert cells(text, "Pred-Ens") == ["50.00", "100.00", "75.00", "25.00"]
    assert cells(text, "known domain") == ["50.00", "100.00", "75.00", "-"]
    assert cells(text, "mask of a")[-1] == "33.33"
    assert cells(text, "prediction") == ["10", "8", "mean", "123"]
    assert "Epoch 4 of 9 was selected by source validation: 81.25 %" in text
    assert cells(text, "IoU, a & b") == ["0.625"]
    assert cells(text, "active in b") == ["0.750"]


def test_methods_without_masks_have_no_mask_table(results):
    text = results_text({**results, "mask_iou": {}, "mask_density": {}})
    assert "IoU" not in text and "Pred-Ens" in text


def test_many_domains_are_not_cut_short(results):
    names = [f"a_domain_with_a_long_name_{i}" for i in range(6)]
    results["counts"]["train"] = dict.fromkeys(names, 5)
    results["counts"]["validation"] = dict.fromkeys(names, 5)
    row = {**dict.fromkeys(names, 0.5), "overall": 0.5}
    results["in_domain"] = {"pred_ens": row}
    text = results_text(json.loads(json.dumps(results)))
    assert "…" not in text
    for name in names:
        assert name in text


def test_rule_names():
    assert rule_name("mask/photo") == "mask of photo"
    assert rule_name("pred_ens") == "Pred-Ens"
    assert rule_name("known_domain_binary") == "known_domain_binary"
