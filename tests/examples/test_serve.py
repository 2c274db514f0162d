"""The clients of examples/serve, against a server of the same protocols."""

import ast
import importlib.util
import json
import re
import sys

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.export.saved_model import export_saved_model
from tests.conftest import ROOT
from tests.export.helpers import CLASSES, DOMAINS, assert_close, make, prepared

pytest.importorskip("tensorflow_serving.apis")
from tests.examples import stand_in  # noqa: E402  (it needs the package)

PLACE = ROOT / "examples" / "serve"


def load(name):
    spec = importlib.util.spec_from_file_location(name, PLACE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rest, remote = load("rest_client"), load("grpc_client")


@pytest.fixture(scope="module")
def model(with_stub):
    return make("dmg", "stub")


@pytest.fixture(scope="module")
def served(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "1"
    export_saved_model(model, {"class_names": CLASSES}, folder)
    return stand_in.Served(folder)


@pytest.fixture(scope="module")
def rest_url(served):
    with stand_in.rest_server(served) as (url, _):
        yield url


@pytest.fixture(scope="module")
def address(served):
    with stand_in.grpc_server(served) as address:
        yield address


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A file, and its pixels [1, H, W, 3]."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    path = tmp_path_factory.mktemp("images") / "ö b.png"
    PIL.Image.fromarray(pixels).save(path)
    return str(path), pixels[np.newaxis]


def expected(model, pixels, signature):
    """The model's own logits, [C] or [D, C]."""
    inputs = prepared(model, pixels)
    if signature == "per_mask":
        each = [model.logits(inputs, f"mask/{d}")[0] for d in DOMAINS]
        return np.stack(each)
    rule = {
        "mask_ens": "mask_ens",
        "known_domain": "known_domain",
        "known_domain_by_name": "known_domain",
    }.get(signature, "pred_ens")
    return model.logits(inputs, rule, [2])[0].numpy()


# signature: further arguments
CALLS = {
    "serving_default": [],
    "serving_float": [],
    "serving_bytes": [],
    "known_domain": ["--domain", "2"],
    "known_domain_by_name": ["--domain", "c"],
    "mask_ens": [],
    "per_mask": [],
}


def check(answer, model, image, signature):
    path, pixels = image
    logits = expected(model, pixels, signature)
    assert np.abs(logits).max() > 0.1
    assert answer["image"] == path
    assert_close(answer["logits"], logits)
    softmax = tf.nn.softmax(logits).numpy()
    np.testing.assert_allclose(answer["probabilities"], softmax, atol=1e-5)
    assert np.shape(answer["class_id"]) == logits.shape[:-1]
    np.testing.assert_array_equal(answer["class_id"], logits.argmax(-1))


def test_no_signature_is_forgotten(served):
    assert set(served.signatures) == {*CALLS, "metadata"}
    of_heads = {"per_head"}
    assert {*rest.ENCODED, *rest.PIXELS} == {*CALLS} | of_heads
    assert set(remote.INPUTS) == {*served.signatures} | of_heads
    # A wrong dtype is refused by a server, so each must be as it is signed.
    for signature in served.signatures:
        specs = served.specs(signature)
        dtypes = {name: spec.dtype for name, spec in specs.items()}
        assert remote.INPUTS[signature] == dtypes


@pytest.mark.parametrize("signature", CALLS)
def test_rest(model, rest_url, image, capsys, signature):
    args = ["--url", rest_url, "--signature", signature, *CALLS[signature]]
    assert rest.main([*args, image[0]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    check(json.loads(lines[0]), model, image, signature)


@pytest.mark.parametrize("signature", CALLS)
def test_grpc(model, address, image, capsys, signature):
    args = ["--address", address, "--signature", signature, *CALLS[signature]]
    assert remote.main([*args, image[0]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    check(json.loads(lines[0]), model, image, signature)


def test_a_batch(model, rest_url, image):
    pixels = np.concatenate([image[1], image[1][:, ::-1]])
    request = rest.predict_request("mask_ens", pixels.tolist())
    found = rest.post(rest_url, "dmg", request)
    logits = model.logits(prepared(model, pixels), "mask_ens")
    assert_close([row["logits"] for row in found], logits)


def test_metadata(address, rest_url, capsys):
    args = ["--address", address, "--signature", "metadata"]
    assert remote.main(args) == 0
    assert json.loads(capsys.readouterr().out)["class_names"] == CLASSES
    # REST has no request without an input, as the README says.
    request = {"signature_name": "metadata", "instances": [{}]}
    with pytest.raises(RuntimeError, match="400: Failed to get input map"):
        rest.post(rest_url, "dmg", request)


def test_mistakes(rest_url, address, image, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"no image")
    bad = str(tmp_path / "a.png")
    by_rest, by_grpc = ["--url", rest_url], ["--address", address]
    for client, args, message in [
        (rest, [*by_rest, bad], "HTTP 400: .*image_bytes at position 0"),
        (rest, [*by_rest, "--model", "x", image[0]], "HTTP 404: Servable not"),
        (rest, [*by_rest, str(tmp_path / "none")], "No such file"),
        (rest, ["--url", "http://127.0.0.1:9", image[0]], "refused"),
        (
            rest,
            [*by_rest, "--signature", "per_head", image[0]],
            '400: Serving signature name: "per_head" not found',
        ),
        (
            rest,
            [*by_rest, "--signature", "known_domain", image[0]],
            "--domain goes with known_domain and known_domain_by_name",
        ),
        (
            rest,
            [*by_rest, "--signature", "known_domain_by_name"]
            + ["--domain", "q", image[0]],
            "400: .*unknown domain q at position 0; known: a, b, c",
        ),
        (remote, [*by_grpc, bad], "INVALID_ARGUMENT: .*at position 0"),
        (remote, [*by_grpc, "--model", "x", image[0]], "NOT_FOUND: Servable"),
        (remote, ["--address", "127.0.0.1:9", image[0]], "UNAVAILABLE"),
        (remote, [*by_grpc, str(tmp_path / "none")], "No such file"),
    ]:
        assert client.main(args) == 2, args
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert re.search(message, error, re.DOTALL), error


def test_rest_needs_the_standard_library_alone():
    tree = ast.parse((PLACE / "rest_client.py").read_text("utf-8"))
    for node in tree.body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module]
        for name in names:
            assert name.partition(".")[0] in sys.stdlib_module_names


def test_the_sample_in_the_readme(model, served):
    text = (PLACE / "README.md").read_text("utf-8")
    samples = [
        json.loads(part.partition("```")[0])
        for part in text.split("```json\n")[1:]
    ]
    request, answer = samples
    contents = tf.io.encode_png(np.zeros((1, 1, 3), np.uint8)).numpy()
    made = rest.predict_request("serving_bytes", [contents])
    assert made.keys() == request.keys()
    assert made["instances"][0].keys() == request["instances"][0].keys()
    found = json.loads(stand_in.answer_rest(served, json.dumps(request)))
    assert found.keys() == answer.keys()
    assert found["predictions"][0].keys() == answer["predictions"][0].keys()
