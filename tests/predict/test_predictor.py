"""The loader of runs and of exported models: the facts, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import dmg_tf
from dmg_tf.errors import UserError
from dmg_tf.export.run import export_run
from dmg_tf.predict.predictor import check_model, load_predictor
from dmg_tf.rules import domain_rules, rules_of
from dmg_tf.runs.facts import ModelFacts
from tests.export.helpers import CLASSES, DOMAINS, SIZE, make, write_run

pytestmark = pytest.mark.usefixtures("with_stub")


def with_results(folder, **changes):
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return with_results(
        write_run(make("dmg", "stub"), folder),
        in_domain={
            "pred_ens": {"a": 0.7, "b": 0.8, "c": 0.9, "overall": 0.8},
            "mask_ens": {"a": 0.6, "b": 0.7, "c": 0.8, "overall": 0.7},
        },
        out_of_domain={
            "pred_ens": {"d": 0.5, "overall": 0.5},
            "mask/b": {"d": 0.4, "overall": 0.4},
        },
    )


@pytest.fixture(scope="module")
def saved(run_dir):
    out = run_dir.with_name("saved")
    export_run(run_dir, out)
    return out


@pytest.mark.parametrize("source", ["run", "saved model"])
@pytest.mark.parametrize(
    "rule, in_domain, outside",
    [
        ("pred_ens", 0.8, {"d": 0.5}),
        ("mask_ens", 0.7, {}),
        ("mask/b", None, {"d": 0.4}),
    ],
)
def test_facts(run_dir, saved, source, rule, in_domain, outside):
    folder = run_dir if source == "run" else saved
    facts = load_predictor(folder, rule).facts
    assert facts == ModelFacts(
        method="dmg",
        backbone="stub",
        class_names=tuple(CLASSES),
        source_domains=DOMAINS,
        prediction_rule=facts.prediction_rule,
        domain_rules=domain_rules("mask", DOMAINS),
        image_size=SIZE,
        in_domain=in_domain,
        out_of_domain=outside,
    )
    assert facts.prediction_rule.name == rule and facts.part == "mask"
    names = [domain_rule.name for domain_rule in facts.domain_rules]
    assert names == ["mask/a", "mask/b", "mask/c"]


@pytest.mark.parametrize(
    "method, part", [("aggregate", None), ("multi_headed", "head")]
)
def test_what_domains_have_of_their_own(tmp_path, method, part):
    folder = write_run(make(method, "stub"), tmp_path / "run")
    facts = load_predictor(folder).facts
    assert facts.part == part
    rules = [f"{part}/{domain}" for domain in DOMAINS] if part else []
    assert [rule.name for rule in facts.domain_rules] == rules


def test_a_single_domain_has_nothing_to_compare(tmp_path):
    # A run has two at least; a model built in Python may have one.
    options = {"image_size": SIZE}
    model = dmg_tf.build_model("multi_headed", "stub", 5, ("a",), **options)
    run = write_run(model, tmp_path / "run")
    export_run(run, tmp_path / "saved")
    images = np.zeros((2, SIZE, SIZE, 3), np.float32)
    for folder in (run, tmp_path / "saved"):
        predictor = load_predictor(folder)
        assert predictor.facts.part is None
        logits, per_domain = predictor.logits(images)
        assert logits.shape == (2, 5) and per_domain is None


def test_a_graph_of_an_exported_model_lives_as_long_as_it(saved):
    """What was loaded is freed when nobody holds it, and variables with it."""
    images = tf.zeros([1, SIZE, SIZE, 3])
    predictor = load_predictor(saved)
    step = tf.function(predictor.logits, autograph=False)
    first = step(images)[0].numpy()
    del predictor
    np.testing.assert_array_equal(step(images)[0], first)


def test_mistakes(run_dir, saved, tmp_path):
    def folder(name, **files):
        (tmp_path / name).mkdir()
        for file, contents in files.items():
            (tmp_path / name / file.replace("__", ".")).write_text(contents)
        return tmp_path / name

    def changed(name, change):
        shutil.copytree(saved, tmp_path / name)
        path = tmp_path / name / "assets" / "metadata.json"
        path.write_text(path.read_text().replace(*change))
        (tmp_path / name / "checksums.json").unlink()
        return tmp_path / name

    file = folder("file", a="") / "a"
    other = changed("other", ("", ""))
    tf.saved_model.save(tf.Module(), str(other))
    damaged = changed("damaged", ("", ""))
    (damaged / "saved_model.pb").write_bytes(b"no such thing")
    foreign = tmp_path / "foreign"
    tf.saved_model.save(tf.Module(), str(foreign))
    newer = changed("newer", ('"format_version": 1', '"format_version": 9'))
    # These are told before TensorFlow is loaded.
    for place, message in [
        (tmp_path / "no", "no does not exist; give a run folder"),
        (file, "is a file; give a run folder"),
        (folder("empty"), "there is no model in"),
        (folder("begun", config__json="{}"), "not finished: it kept no model"),
        (foreign, "was not written by dmg_tf.export"),
        (newer, "has format 9, this version reads 1"),
    ]:
        for function in (check_model, load_predictor):
            with pytest.raises(UserError, match=message):
                function(place)
    unfinished = folder("unfinished", model__keras="")
    unread = folder("unread", model__keras="")
    shutil.copy(run_dir / "results.json", unread)
    for place, message in [
        (unfinished, "not finished: cannot read .*results.json"),
        (unread, "cannot read .*model.keras"),
        (damaged, "cannot read the model in"),
        (other, "is not the one that dmg_tf.export wrote"),
    ]:
        check_model(place)
        with pytest.raises(UserError, match=message) as caught:
            load_predictor(place)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("method", ["dmg", "multi_headed"])
def test_an_export_of_version_0_1_is_read(saved, tmp_path, method):
    """Its metadata has no rules; they follow from the signatures."""
    old = tmp_path / "old"
    if method == "dmg":
        shutil.copytree(saved, old)
    else:
        export_run(write_run(make(method, "stub"), tmp_path / "run"), old)
    new = tmp_path / "new"
    shutil.copytree(old, new)
    path = old / "assets" / "metadata.json"
    metadata = json.loads(path.read_text())
    rules = [rule.name for rule in rules_of(metadata) if not rule.needs_domain]
    del metadata["rules"]
    path.write_text(json.dumps(metadata))
    (old / "checksums.json").unlink()
    images = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3))
    images = images.astype(np.float32)
    for rule in (None, *rules[1:3]):
        ours, theirs = load_predictor(old, rule), load_predictor(new, rule)
        assert ours.facts == theirs.facts
        for found, expected in zip(
            ours.logits(images), theirs.logits(images), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    with pytest.raises(UserError, match="'known_domain' needs the domain"):
        load_predictor(old, "known_domain")
    with pytest.raises(UserError, match=f"known: {', '.join(rules)}"):
        load_predictor(old, "nobody's")
