"""A vision transformer of KerasHub, from a preset's folder."""

import keras
import numpy as np
import pytest

from dmg_tf.backbones.blocks import NetworkSpec
from dmg_tf.backbones.keras_model.spec import PRESETS
from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES
from dmg_tf.training.first_weights.loaded import load_initial_weights
from tests.helpers import random_batch

DOMAINS = ("a", "b", "c")
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3))


@pytest.fixture(scope="module")
def keras_hub():
    return pytest.importorskip("keras_hub")


@pytest.fixture(scope="module")
def preset(keras_hub, tmp_path_factory):
    """The folder of a small transformer with random weights."""
    folder = str(tmp_path_factory.mktemp("preset"))
    vit = keras_hub.models.ViTBackbone(
        image_shape=(32, 32, 3),
        patch_size=8,
        num_layers=4,
        num_heads=2,
        hidden_dim=12,
        mlp_dim=24,
    )
    vit.save_to_preset(folder)
    keras_hub.layers.ViTImageConverter(
        image_size=(32, 32), scale=[1 / 127.5] * 3, offset=[-1.0] * 3
    ).save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def model(preset):
    return build_model("dmg", f"keras_hub:{preset}", 3, DOMAINS, image_size=32)


def test_without_the_package_one_line_says_so(monkeypatch):
    find_spec = "dmg_tf.backbones.keras_model.spec.importlib.util.find_spec"
    monkeypatch.setattr(find_spec, lambda name: None)
    with pytest.raises(UserError, match=r'pip install "dmg-tf\[keras-hub\]"'):
        RunConfig(backbone="keras_hub:vit_base_patch16_224_imagenet").check()
    assert PRESETS.names() == ()


def test_features_are_of_the_class_token(keras_hub, preset, model):
    config = RunConfig(backbone=f"keras_hub:{preset}", weights="imagenet")
    source = load_initial_weights(model, config)
    assert source == (f"keras_hub:{preset}", None)
    names = [stage.name for stage in model.task_network.stages]
    assert names == ["stage3", "fc"]
    np.testing.assert_allclose((model.mean, model.std), 0.5)
    x = model.feature_extractor((PIXELS / 255 - model.mean) / model.std)
    assert x.shape == (2, 17, 12)
    vit = keras_hub.models.Backbone.from_preset(preset)
    expected = vit(PIXELS / 127.5 - 1)[:, 0]
    assert np.ptp(expected, axis=0).min() > 0
    np.testing.assert_allclose(
        model.task_network.stages[0](x), expected, rtol=1e-4, atol=1e-5
    )


def test_masks_on_tokens_learn_and_are_kept(model, tmp_path):
    masks = {s: m.mask_logits.shape for s, m in model.domain_masks.items()}
    assert masks == {"stage3": (3, 12), "fc": (3, 12)}
    inputs, labels = random_batch(batch=6)
    model.compile(optimizer="adam", run_eagerly=True)
    before = [m.mask_logits.numpy() for m in model.domain_masks.values()]
    assert np.isfinite(model.train_on_batch(inputs, labels)).all()
    for mask, old in zip(model.domain_masks.values(), before, strict=True):
        assert np.all(mask.mask_logits.numpy() != old)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.logits(inputs["image"]), model.logits(inputs["image"])
    )


def test_an_unknown_preset_is_one_line(keras_hub):
    with pytest.raises(UserError, match="'nothing'.*the name of a preset") as e:
        BACKBONES["keras_hub:nothing"](NetworkSpec(3))
    assert str(e.value).isprintable()
