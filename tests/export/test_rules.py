"""A method with rules of its own is served, predicted and shown by them."""

import csv
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.commands import predict
from dmg_tf.demo.predictor import DemoPredictor
from dmg_tf.errors import UserError
from dmg_tf.export.network import stored_network
from dmg_tf.export.run import export_run
from dmg_tf.predict.predictor import load_predictor
from dmg_tf.rules import domain_rules, rules_of
from tests.export.experts import GATED, OWN, SUREST, make_experts
from tests.export.helpers import (
    COMMON,
    DOMAINS,
    SIZE,
    assert_answer,
    make,
    prepared,
    some_images,
    write_run,
)

pytestmark = pytest.mark.usefixtures("with_stub")

EXPERTS = domain_rules("expert", DOMAINS)
OF_EXPERTS = {"own_expert", "own_expert_by_name", "surest", "per_expert"}


@pytest.fixture(scope="module")
def model(with_stub):
    return make_experts(DOMAINS, SIZE)


@pytest.fixture(scope="module")
def run_dir(model, tmp_path_factory):
    return write_run(model, tmp_path_factory.mktemp("experts") / "run")


@pytest.fixture(scope="module")
def saved(run_dir):
    """Exported by the default rule, by another, and folded."""
    folders = {}
    for name, options in {
        "default": {},
        "surest": {"prediction_rule": "surest"},
        "folded": {"fold": True},
    }.items():
        folders[name] = run_dir.with_name(name)
        export_run(run_dir, folders[name], **options)
    return folders


@pytest.mark.parametrize(
    "name, rule, further",
    [
        ("default", "gated", OF_EXPERTS),
        # Only now does the default rule need a signature of its own.
        ("surest", "surest", {*OF_EXPERTS, "gated"}),
        ("folded", "gated", set()),
    ],
)
def test_signatures(model, saved, name, rule, further):
    served = tf.saved_model.load(str(saved[name])).signatures
    assert set(served) == COMMON | further
    images, ids = some_images(), np.array([2, 0, 1, 2], np.int32)
    inputs = prepared(model, images)
    expected = model.logits(inputs, rule)
    assert_answer(served["serving_default"](images=images), expected)
    if not further:
        return
    for signature in further & {"surest", "gated"}:
        answer = served[signature](images=images)
        assert_answer(answer, model.logits(inputs, signature))
    expected = model.logits(inputs, "own_expert", ids)
    answer = served["own_expert"](images=images, domain_ids=ids)
    assert_answer(answer, expected)
    domains = np.array(DOMAINS)[ids]
    answer = served["own_expert_by_name"](images=images, domains=domains)
    assert_answer(answer, expected)
    each = [model.logits(inputs, rule.name) for rule in EXPERTS]
    answer = served["per_expert"](images=images)
    assert_answer(answer, np.stack(each, axis=1))


def test_metadata_lists_the_rules_that_are_answered(saved):
    def rules(name):
        path = saved[name] / "assets" / "metadata.json"
        return rules_of(json.loads(path.read_text()))

    assert rules("default") == (GATED, SUREST, OWN, *EXPERTS)
    assert rules("surest") == (SUREST, GATED, OWN, *EXPERTS)
    assert rules("folded") == (GATED,)


def test_columns_are_named_by_the_rules(run_dir, saved, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "image.png")
    args = [str(tmp_path / "image.png"), "--csv", str(tmp_path / "out.csv")]

    def rows(folder, *more):
        assert predict.main([str(folder), *args, *more]) == 0
        with open(tmp_path / "out.csv", newline="") as file:
            return list(csv.DictReader(file))

    for folder in (run_dir, saved["default"]):
        (row,) = rows(folder)
        assert list(row) == [
            *("path", "class", "probability"),
            *("expert/a/class", "expert/a/probability"),
            *("expert/b/class", "expert/b/probability"),
            *("expert/c/class", "expert/c/probability"),
            *("votes", "agreement", "error"),
        ]
        text = capsys.readouterr().err
        assert "predicted by gated; the experts disagree on the class" in text
    assert "agreement" not in rows(saved["folded"])[0]


@pytest.mark.parametrize("rule", ["gated", "surest", "expert/b"])
def test_every_rule_from_every_place(model, run_dir, saved, rule):
    images = some_images(3, SIZE, SIZE).astype(np.float32)
    expected = model.logits(prepared(model, images), rule)
    for folder in (run_dir, saved["surest"]):
        predictor = load_predictor(folder, rule)
        assert predictor.facts.prediction_rule.name == rule
        assert predictor.facts.part == "expert"
        logits, per_domain = predictor.logits(images)
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        assert per_domain.shape == (3, 3, 5)


def test_rules_that_cannot_be_asked_for(run_dir, saved):
    for folder in (run_dir, saved["default"]):
        with pytest.raises(UserError, match="'own_expert' needs the domain"):
            load_predictor(folder, "own_expert")
    with pytest.raises(UserError, match="rule 'half'; known: gated, surest, "):
        load_predictor(run_dir, "half")
    with pytest.raises(UserError, match="signature 'own_expert' takes it"):
        export_run(run_dir, run_dir / "no", prediction_rule="own_expert")
    with pytest.raises(UserError, match="a folded model predicts by 'gated'"):
        export_run(run_dir, run_dir / "no", prediction_rule="half", fold=True)


def test_the_demo_names_the_parts(run_dir):
    predictor = DemoPredictor(load_predictor(run_dir))
    assert predictor.text().endswith("predicts by gated experts")
    facts = predictor.describe()
    assert facts["prediction_rule"] == "gated" and not facts["rule_is_mean"]
    assert facts["part"] == "expert"


def test_what_a_layer_wants_whole_stays_so():
    model = make("dmg", "stub")
    network = stored_network(model, precision="float16")
    dtypes = {tuple(v.shape): v.dtype for v in network.variables}
    masks = {tuple(m.mask_logits.shape) for m in model.domain_masks.values()}
    assert masks == {(3, 8)} and dtypes[3, 8] == tf.float32
    assert dtypes[8, 5] == tf.float16 and dtypes[(5,)] == tf.float32
