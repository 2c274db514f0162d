import json

import pytest

from dmg_tf.console.tables import Room
from dmg_tf.report.text import results_text
from dmg_tf.report.verdict import headline
from dmg_tf.rules import rule_of_name


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
        "class_names": ["v", "w", "x"],
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
    # As many decimals as the intervals deserve: 10 images, 8, 18, 123.
    assert cells(text, "Pred-Ens") == ["50", "100", "75", "25"]
    assert cells(text, "95 % interval")[0] == "24-76"
    assert cells(text, "known domain") == ["50", "100", "75", "-"]
    assert cells(text, "mask of a")[-1] == "33"
    assert cells(text, "images") == ["10", "8", "18", "123"]
    assert "Epoch 4 of 9 was selected by source validation: 81 %" in text
    assert cells(text, "IoU, a & b") == ["0.625"]
    assert cells(text, "active in b") == ["0.750"]


def test_many_images_have_decimals(results):
    results["counts"]["out_of_domain"]["t"] = 50_000
    assert cells(results_text(results), "mask of a")[-1] == "33.3"


def test_the_text_fits(results):
    for width in (40, 60, 80):
        text = results_text(results, Room(width))
        assert max(map(len, text.splitlines())) <= width


def test_without_a_target(results):
    results["config"]["target"] = "none"
    results["out_of_domain"] = results["counts"]["out_of_domain"] = {}
    text = results_text(results)
    assert text.startswith("no unseen domain was measured; sources: 75 % (")
    assert "target" not in text and "none" not in text
    assert cells(text, "Pred-Ens") == ["50", "100", "75"]


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
    assert rule_of_name("mask/photo").title == "mask of photo"
    assert rule_of_name("pred_ens").title == "Pred-Ens"
    binary = rule_of_name("known_domain_binary")
    assert binary.title == "known domain, binary masks"
    assert rule_of_name("other_rule").title == "other_rule"


def test_the_first_line_says_how_good_it_is(results):
    line = (
        "t (never seen): 25 % right (95 % interval 18 to 33 %) of 123 images; "
        "sources: 75 % (52 to 89 %); chance: 33 %"
    )
    assert headline(results) == line
    assert " ".join(results_text(results).splitlines()).startswith(line)
    # The target has no known domain, so that rule says nothing of it.
    results["in_domain"] = {"known_domain": results["in_domain"]["mask/a"]}
    results["out_of_domain"] = {}
    assert headline(results) == "sources: 75 % (52 to 89 %); chance: 33 %"
    assert cells(results_text(results), "known domain")[-1] == "-"
