"""Models of `keras.applications`: numbers, pixels, weights."""

import dataclasses
import functools
import http.server
import socket
import sys

import keras
import numpy as np
import pytest

from dmg_tf.backbones.keras_model import applications
from dmg_tf.backbones.keras_model.spec import APPLICATIONS
from dmg_tf.backbones.pixels import IMAGENET_MEAN, IMAGENET_STD
from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES
from dmg_tf.training.first_weights.loaded import load_initial_weights
from tests.helpers import serving

# The smallest there is: a quarter of the width.
SMALL = dataclasses.replace(
    APPLICATIONS["MobileNet"], arguments={"alpha": 0.25}
)
FILE = "mobilenet_2_5_224_tf_no_top.h5"
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3))
NORMALISED = (PIXELS / 255 - IMAGENET_MEAN) / IMAGENET_STD


@pytest.fixture(scope="module")
def theirs():
    """Keras' own model, with weights and statistics far from their start."""
    model = keras.applications.MobileNet(
        alpha=0.25,
        include_top=False,
        weights=None,
        pooling="avg",
        input_shape=(64, 64, 3),
    )
    rng = np.random.default_rng(5)

    def drawn(value):
        if value.ndim == 1:
            return value + rng.uniform(0, 0.3, value.shape)
        inputs = np.prod(value.shape[:2]) * (
            1 if value.shape[3] == 1 else value.shape[2]
        )
        return rng.normal(0, (2 / inputs) ** 0.5, value.shape)

    model.set_weights([drawn(value) for value in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def features(theirs):
    preprocess = keras.applications.mobilenet.preprocess_input
    return theirs(preprocess(PIXELS.astype(np.float32))).numpy()


@pytest.fixture
def file(theirs, tmp_path, monkeypatch):
    """The name of ImageNet's file, where a file of Keras is to be put."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("DMG_TF_WEIGHTS_URL", raising=False)
    (tmp_path / "models").mkdir()
    return tmp_path / "models" / FILE


@pytest.fixture(scope="module", autouse=True)
def known():
    with BACKBONES.with_name("small", f"{__name__}:SMALL"):
        yield


def assert_features(model, expected):
    """Checks what the network gives where no mask is between."""
    x = model.feature_extractor(NORMALISED)
    for stage in model.task_network.stages[:-1]:
        x = stage(x)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(x, expected, atol=1e-4)


# === Names ===


def test_names_are_keras_own():
    offered = {name for name in dir(keras.applications) if name[0].isupper()}
    assert set(APPLICATIONS.names()) == offered
    assert "keras:ConvNeXtTiny" not in BACKBONES.names()
    assert BACKBONES.check("keras:ConvNeXtTiny") == "keras:ConvNeXtTiny"
    RunConfig(backbone="keras:EfficientNetV2S").check()


@pytest.mark.parametrize(
    "name, message",
    [
        ("keras:ConvNextTiny", "known: keras:Conv.*mean 'keras:ConvNeXtTiny'"),
        (
            "MobileNetV3Small",
            "_hub:NAME. Did you mean 'keras:MobileNetV3Small'",
        ),
        ("keras:", "known: keras:ConvNeXtBase, "),
    ],
)
def test_a_mistyped_name_is_told(name, message):
    with pytest.raises(UserError, match=f"unknown --backbone '.*{message}"):
        RunConfig(backbone=name).check()


# === Numbers ===


@pytest.mark.parametrize(
    "name, first",  # of what a black pixel becomes
    [
        ("MobileNetV2", -1.0),
        ("ConvNeXtTiny", 0.0),
        ("DenseNet121", -0.485 / 0.229),
        ("VGG16", -103.939),  # blue comes first
    ],
)
def test_pixels_become_the_models_own(name, first):
    make = getattr(keras.applications, name)
    preprocess = sys.modules[make.__module__].preprocess_input
    pixels = PIXELS.astype(np.float32)
    pixels[0, 0, 0] = 0.0
    normalised = (pixels / 255 - IMAGENET_MEAN) / IMAGENET_STD
    found = keras.Model(*applications.own_pixels(make))(normalised).numpy()
    np.testing.assert_allclose(found[0, 0, 0, 0], first, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(found, preprocess(pixels), atol=1e-4)


def test_weights_are_keras_own(theirs, features, file, tmp_path):
    model = build_model("dmg", "small", 3, ("a", "b", "c"), image_size=64)
    sites = {s: m.mask_logits.shape for s, m in model.domain_masks.items()}
    assert sites == {"stage4": (3, 128), "fc": (3, 256)}
    mine = tmp_path / "mine.h5"
    for weights, path in (("imagenet", file), (str(mine), mine)):
        theirs.save(path)
        for variable, _ in model.torchvision_entries().values():
            variable.assign(0 * variable)
        config = RunConfig(backbone="small", weights=weights)
        assert load_initial_weights(model, config)[0] == str(path)
        assert_features(model, features)
    mine.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99))
    with pytest.raises(UserError, match="mine.h5 do not fit MobileNet: "):
        applications.weights(SMALL, mine)


def test_a_mirror_is_asked(theirs, features, file, tmp_path, monkeypatch):
    theirs.save(tmp_path / FILE)
    serve = functools.partial(Quiet, directory=tmp_path)
    with serving(serve) as server:
        monkeypatch.setenv("DMG_TF_WEIGHTS_URL", server.url)
        path, entries = applications.weights(SMALL)
    assert path == file
    kernel = theirs.layers[1].kernel.numpy().transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(entries["conv1.weight"], kernel)
    assert entries["fc.weight"].shape == (0, 256)


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_):
        """Says nothing."""


def test_without_a_network_one_line_says_what_is_wanted(file, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("DMG_TF_WEIGHTS_URL", url)
    own = keras.utils.get_file
    with pytest.raises(UserError) as caught:
        applications.weights(SMALL)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(f"cannot get ImageNet weights from {url}/{FILE} ")
    assert "refused" in message
    assert f"put that file at {file}, or pass --weights PATH" in message
    assert not file.exists()
    module = sys.modules[own.__module__]
    assert module.get_file is own


def test_efficientnets_further_rescaling_is_taken_in():
    """Keras has it with ImageNet's weights alone."""
    layers = keras.layers
    inputs = keras.Input((None, None, 3))
    norm = layers.Normalization()
    x = norm(layers.Rescaling(1 / 255)(inputs))
    plain = keras.Model(inputs, x)
    scaled = keras.Model(inputs, layers.Rescaling([2.0, 3.0, 4.0])(x))
    norm.adapt_mean.assign([0.4, 0.5, 0.6])
    norm.adapt_variance.assign([0.2, 0.3, 0.4])
    norm.finalize_state()
    expected = scaled(PIXELS)
    applications._take_in_rescaling(scaled)
    norm.finalize_state()
    np.testing.assert_allclose(plain(PIXELS), expected, rtol=1e-5, atol=1e-5)
