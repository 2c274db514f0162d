"""Answers to pictures: the model's own, from a run or an exported model."""

import concurrent.futures
import io
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.data.images.decoding import decode
from dmg_tf.data.images.transforms import normalize, resize
from dmg_tf.demo.predictor import DemoPredictor
from dmg_tf.evaluation.grad_cam import GradCam
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.export.run import export_run
from dmg_tf.export.saved_model import export_saved_model
from dmg_tf.predict.predictor import load_predictor
from dmg_tf.predict.stream import predict_stream
from tests.export.helpers import CLASSES, DOMAINS, SIZE, make, write_run


def picture(seed=0, kind="PNG", height=37, width=51):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def load(folder):
    return DemoPredictor(load_predictor(folder))


def expected(model, contents, rule):
    image = resize(decode(contents, SIZE), SIZE)[tf.newaxis]
    image = normalize(image, model.mean, model.std)
    return tf.nn.softmax(model.logits(image, rule)).numpy()[0]


def assert_probs(named, probs):
    assert list(named["probabilities"]) == CLASSES
    found = list(named["probabilities"].values())
    np.testing.assert_allclose(found, probs, atol=1e-6)
    assert named["class_name"] == CLASSES[probs.argmax()]
    assert named["probability"] == pytest.approx(probs.max(), abs=1e-6)


@pytest.fixture(scope="module")
def model(with_stub):
    return make("dmg", "stub")


@pytest.fixture(scope="module")
def run_dir(model, tmp_path_factory):
    return write_run(model, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def saved(run_dir):
    export_run(run_dir, run_dir.with_name("saved"))
    return run_dir.with_name("saved")


@pytest.fixture(scope="module")
def predictor(run_dir):
    return load(run_dir)


def test_where_each_mask_looks(model, predictor, saved):
    contents = picture()
    found = predictor.predict(contents, maps=True)
    image = resize(decode(contents, SIZE), SIZE)[tf.newaxis]
    _, (expected_maps,) = GradCam(model)(
        normalize(image, model.mean, model.std)
    )
    assert [m["domain"] for m in found["maps"]] == list(DOMAINS)
    values = np.array([m["values"] for m in found["maps"]])
    assert values.max() == 1 and values.shape == (3, 8, 8)
    np.testing.assert_allclose(
        values, expected_maps / expected_maps.max(), atol=1e-3
    )
    assert json.loads(json.dumps(found)) == found
    assert "maps" not in predictor.predict(contents)
    # An exported model says why not.
    exported = load(saved)
    assert exported.predict(contents, maps=True)["maps"] is None
    assert "serve the run folder" in exported.describe()["no_maps"]


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
@pytest.mark.parametrize("source", ["run", "saved model"])
def test_predicts_as_the_model(model, run_dir, saved, source, kind):
    predictor = load(run_dir if source == "run" else saved)
    contents = picture(kind=kind)
    found = predictor.predict(contents)
    assert_probs(found, expected(model, contents, "pred_ens"))
    assert [part["domain"] for part in found["per_domain"]] == list(DOMAINS)
    for part in found["per_domain"]:
        rule = f"mask/{part['domain']}"
        assert_probs(part, expected(model, contents, rule))
    assert (found["width"], found["height"]) == (51, 37)
    assert found["agreement"]["level"] in (
        *("agree", "waver", "unsure", "disagree"),
    )
    assert json.loads(json.dumps(found)) == found
    # What the page's script reads.
    described = json.loads(json.dumps(predictor.describe()))
    assert (described.pop("no_maps") is None) == (source == "run")
    assert described == {
        "method": "dmg",
        "backbone": "stub",
        "class_names": CLASSES,
        "source_domains": list(DOMAINS),
        "prediction_rule": "pred_ens",
        "rule_name": "Pred-Ens",
        "rule_is_mean": True,
        "part": "mask",
        "image_size": SIZE,
        "in_domain": None,
        "out_of_domain": {"d": 0.5},
        "abstains_below": None,
    }
    assert predictor.text() == (
        "dmg on stub: 5 classes, learned from a, b, c, predicts by Pred-Ens"
    )


def test_a_photograph_is_answered_as_a_file_of_a_folder(
    model, run_dir, predictor, tmp_path
):
    # Large enough to be decoded at a fraction.
    contents = picture(kind="JPEG", height=8 * SIZE, width=10 * SIZE)
    whole = resize(decode(contents), SIZE)
    assert np.abs(whole - resize(decode(contents, SIZE), SIZE)).max() > 1
    found = predictor.predict(contents)
    assert (found["width"], found["height"]) == (10 * SIZE, 8 * SIZE)
    assert_probs(found, expected(model, contents, "pred_ens"))
    assert_as_a_file(found, load_predictor(run_dir), contents, tmp_path)


def test_a_16_bit_run_answers_in_its_precision(tmp_path):
    with dtype_policy("mixed_bfloat16"):
        folder = write_run(make("dmg", "stub"), tmp_path / "run")
    results = folder / "results.json"
    text = results.read_text()
    results.write_text(
        text.replace('"epochs"', '"precision": "mixed_bfloat16", "epochs"')
    )
    found = load(folder).predict(picture())
    assert_as_a_file(found, load_predictor(folder), picture(), tmp_path)
    results.write_text(text)  # as of a run in float32
    exact = load(folder).predict(picture())
    assert 1e-5 < abs(found["probability"] - exact["probability"]) < 0.1


def assert_as_a_file(found, predictor, contents, tmp_path):
    """Checks an answer against that of the program for folders."""
    path = tmp_path / "picture"
    path.write_bytes(contents)
    ((_, reasons, answers),) = predict_stream(predictor, [str(path)], 1)
    assert reasons == [""]
    assert found["class_id"] == answers.class_ids[0, 0]
    probs = [found["probability"]]
    probs += [part["probability"] for part in found["per_domain"]]
    theirs = [answers.probabilities[0, 0], *answers.domain_probabilities[0]]
    np.testing.assert_allclose(probs, theirs, atol=1e-6)
    score = found["agreement"]["score"]
    assert score == pytest.approx(answers.agreement[0], abs=1e-6)


def test_nothing_is_traced_after_the_start(run_dir, saved, monkeypatch):
    for folder in (run_dir, saved):
        predictor = load(folder)
        with monkeypatch.context() as patch:
            # What a trace calls.
            patch.setattr("tensorflow.nn.softmax", None)
            answers = [
                predictor.predict(picture(kind=kind, height=height))
                for kind in ("PNG", "JPEG")
                for height in (9, 37, 500)
            ]
        assert len({answer["probability"] for answer in answers}) == 6


def test_many_threads_get_their_own_answers(predictor):
    pictures = [picture(seed) for seed in range(24)]
    one_by_one = [predictor.predict(each) for each in pictures]
    classes = {tuple(each["probabilities"].values()) for each in one_by_one}
    assert len(classes) == 24
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(predictor.predict, pictures))
    for found, wanted in zip(at_once, one_by_one, strict=True):
        assert found["agreement"]["text"] == wanted["agreement"]["text"]
        np.testing.assert_allclose(
            list(found["probabilities"].values()),
            list(wanted["probabilities"].values()),
            atol=1e-6,
        )


def test_heads_are_compared_too(tmp_path):
    model = make("multi_headed", "stub")
    folder = write_run(model, tmp_path / "run")
    found = load(folder).predict(picture())
    probs = expected(model, picture(), "head/b")
    assert_probs(found["per_domain"][1], probs)
    assert "heads" in found["agreement"]["text"]


def test_a_model_without_masks(model, tmp_path):
    aggregate = make("aggregate", "stub")
    predictor = load(write_run(aggregate, tmp_path / "run"))
    found = predictor.predict(picture())
    assert found["per_domain"] is None and found["agreement"] is None
    assert predictor.facts.part is None
    assert_probs(found, expected(aggregate, picture(), "pred_ens"))
    # A folded model has become one.
    results = {"class_names": CLASSES}
    export_saved_model(model, results, tmp_path / "out", fold=True)
    predictor = load(tmp_path / "out")
    assert predictor.facts.in_domain is None
    found = predictor.predict(picture())
    assert found["per_domain"] is None
    np.testing.assert_allclose(
        list(found["probabilities"].values()),
        expected(model, picture(), "mask_ens"),
        atol=1e-5,
    )
