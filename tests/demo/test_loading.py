"""Predictors of runs and of exported models: the model's own answers."""

import concurrent.futures
import io
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf import export
from dmg_tf.data.decoding import decode
from dmg_tf.data.transforms import normalize, resize
from dmg_tf.demo.loading import load_predictor
from dmg_tf.errors import UserError
from dmg_tf.registry import BACKBONES
from tests.export_helpers import CLASSES, DOMAINS, SIZE, make, write_run


def picture(seed=0, kind="PNG"):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (37, 51, 3), np.uint8)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def expected(model, contents, rule):
    image = resize(decode(contents), SIZE)[tf.newaxis]
    image = normalize(image, model.mean, model.std)
    return tf.nn.softmax(model.logits(image, rule)).numpy()[0]


def assert_probs(named, probs):
    assert list(named["probabilities"]) == CLASSES
    found = list(named["probabilities"].values())
    np.testing.assert_allclose(found, probs, atol=1e-6)
    assert named["class_name"] == CLASSES[probs.argmax()]
    assert named["probability"] == pytest.approx(probs.max(), abs=1e-6)


@pytest.fixture(scope="module", autouse=True)
def stub():
    with pytest.MonkeyPatch.context() as patch:
        place = "tests.test_export:stub"
        patch.setitem(BACKBONES._places, "stub", place)
        yield


@pytest.fixture(scope="module")
def model():
    return make("dmg", "stub")


@pytest.fixture(scope="module")
def run_dir(model, tmp_path_factory):
    return write_run(model, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def predictor(run_dir):
    return load_predictor(run_dir)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
@pytest.mark.parametrize("source", ["run", "saved model"])
def test_predicts_as_the_model(model, run_dir, tmp_path, source, kind):
    folder = run_dir
    if source == "saved model":
        folder = tmp_path / "saved"
        export.export_run(run_dir, folder)
    predictor = load_predictor(folder)
    contents = picture(kind=kind)
    found = predictor.predict(contents)
    assert_probs(found, expected(model, contents, "pred_ens"))
    assert [part["domain"] for part in found["per_domain"]] == list(DOMAINS)
    for part in found["per_domain"]:
        rule = f"mask/{part['domain']}"
        assert_probs(part, expected(model, contents, rule))
    assert (found["width"], found["height"]) == (51, 37)
    assert found["agreement"]["level"] in ("agree", "waver", "disagree")
    assert json.loads(json.dumps(found)) == found
    facts = predictor.describe()
    assert facts["class_names"] == tuple(CLASSES)
    assert facts["out_of_domain"] == {"d": 0.5}
    assert facts["rule_name"] == "Pred-Ens" and facts["part"] == "mask"


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
    found = load_predictor(folder).predict(picture())
    probs = expected(model, picture(), "head/b")
    assert_probs(found["per_domain"][1], probs)
    assert "heads" in found["agreement"]["text"]


def test_a_model_without_masks(model, tmp_path):
    aggregate = make("aggregate", "stub")
    predictor = load_predictor(write_run(aggregate, tmp_path / "run"))
    found = predictor.predict(picture())
    assert found["per_domain"] is None and found["agreement"] is None
    assert predictor.facts.part is None
    assert_probs(found, expected(aggregate, picture(), "pred_ens"))
    # A folded model has become one.
    results = {"class_names": CLASSES}
    export.export_saved_model(model, results, tmp_path / "out", fold=True)
    predictor = load_predictor(tmp_path / "out")
    assert predictor.facts.in_domain is None
    found = predictor.predict(picture())
    assert found["per_domain"] is None
    np.testing.assert_allclose(
        list(found["probabilities"].values()),
        expected(model, picture(), "mask_ens"),
        atol=1e-5,
    )


def test_mistakes(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="is not finished"):
        load_predictor(tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with pytest.raises(UserError, match="was not written by dmg_tf.export"):
        load_predictor(tmp_path / "other")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "saved_model.pb").write_bytes(b"no")
    with pytest.raises(UserError, match="cannot read the SavedModel"):
        load_predictor(tmp_path / "broken")
