"""The method, dataset and backbone of CONTRIBUTING.md, as they stand there."""

import contextlib
import pathlib
import re

import keras
import numpy as np
import pytest

import dmg_tf.backbones
import dmg_tf.data.datasets
import dmg_tf.methods
from dmg_tf.commands.train import make_parser
from dmg_tf.config import RunConfig
from dmg_tf.data import detect_dataset
from dmg_tf.errors import UserError
from dmg_tf.flags import config_from_args, method_of
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES, DATASETS, METHODS
from tests.conftest import ROOT
from tests.helpers import random_batch

PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
# Of an `__init__.py` the page has a line, not the file.
FILES = {
    path: text
    for path, text in re.findall(
        r"`(dmg_tf/\S+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL
    )
    if not path.endswith("__init__.py")
}
LINES = re.findall(r'^(\w+)\.register\("(\w+)", "(\S+)"\)$', PAGE, re.MULTILINE)
REGISTRIES = {"METHODS": METHODS, "DATASETS": DATASETS, "BACKBONES": BACKBONES}
DOMAINS = ("a", "b", "c")


@pytest.fixture(scope="module", autouse=True)
def written(tmp_path_factory):
    """Writes the files, and registers what is in them, for these tests."""
    root = tmp_path_factory.mktemp("written")
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        for package in (
            dmg_tf.backbones,
            dmg_tf.data.datasets,
            dmg_tf.methods,
        ):
            folder = root / package.__name__.replace(".", "/")
            patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        for registry, name, path in LINES:
            stack.enter_context(REGISTRIES[registry].with_name(name, path))
        yield


def test_the_page_has_them_all():
    assert [(registry, name) for registry, name, _ in LINES] == [
        ("METHODS", "mean_alignment"),
        ("DATASETS", "flat"),
        ("BACKBONES", "small"),
        ("BACKBONES", "wide"),
    ]
    assert len(FILES) == 7
    for _, _, path in LINES:
        assert path.partition(":")[0].replace(".", "/") + ".py" in FILES


def test_the_method_is_a_choice_of_the_command_line():
    argv = "--target a --method mean_alignment --alignment-weight 2".split()
    assert method_of(argv) == "mean_alignment"
    config = config_from_args(make_parser(argv).parse_args(argv))
    assert config.options.alignment_weight == 2
    assert config.to_json()["alignment_weight"] == 2
    assert RunConfig.from_json(config.to_json()) == config
    with pytest.raises(UserError, match="--alignment-weight must be at least"):
        config.replace(alignment_weight=-1.0).check()
    resolved = config.resolve("folder")
    assert resolved.sampling == "balanced"


def test_another_method_refuses_its_option(capsys):
    argv = "--target a --method aggregate --alignment-weight 2".split()
    with pytest.raises(SystemExit):
        make_parser(argv).parse_args(argv)
    assert "an option of mean_alignment" in capsys.readouterr().err


def test_the_method_learns_two_steps(with_stub):
    model = build_model(
        "mean_alignment", "stub", 3, DOMAINS, image_size=32, alignment_weight=2
    )
    model.compile(optimizer=keras.optimizers.SGD(0.01))
    inputs, labels = random_batch(batch=6)
    ids = np.arange(6, dtype=np.int32) % 3
    inputs = {**inputs, "domain_ids": ids}
    # The stub has neither batch statistics nor dropout.
    found = model.embed(inputs["image"]).numpy()
    means = np.stack([found[ids == domain].mean(axis=0) for domain in range(3)])
    logs = model.train_on_batch(inputs, labels, return_dict=True)
    assert logs["distance"] == pytest.approx(means.var(axis=0).mean(), rel=1e-4)
    assert logs["loss"] == pytest.approx(
        logs["cross_entropy"] + 2 * logs["distance"], rel=1e-5
    )
    before = [variable.numpy() for variable in model.trainable_variables]
    assert np.isfinite(model.train_on_batch(inputs, labels))[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert np.any(variable.numpy() != old), variable.path


def test_the_method_is_saved_and_loaded(with_stub, tmp_path):
    model = build_model("mean_alignment", "stub", 3, DOMAINS, image_size=32)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.options == model.options
    images = random_batch(batch=2)[0]["image"]
    np.testing.assert_array_equal(loaded(images), model(images))


@pytest.fixture
def flat(tiny_folder, tmp_path):
    """The images of a folder, with domain and class in their names."""
    for path in sorted(pathlib.Path(tiny_folder).rglob("*.png")):
        name = "_".join((*path.parts[-3:-1], path.name))
        (tmp_path / name).symlink_to(path)
    return tmp_path


def test_the_dataset_reads_what_the_folder_has(flat, tiny_folder):
    name = detect_dataset("auto", str(flat))
    assert name == "flat"
    data = DATASETS[name].load(str(flat), "c")
    folder = DATASETS["folder"].load(str(tiny_folder), "c")
    assert data.counts() == folder.counts()
    assert data.class_names == folder.class_names
    assert data.source_domains == ("a", "b")

    def labels(data):
        return {
            str(pathlib.Path(path).resolve()): label
            for part in (data.train, data.validation, data.out_of_domain)
            for path, label in zip(part.paths, part.labels, strict=True)
        }

    assert labels(data) == labels(folder)


@pytest.mark.parametrize(
    "name, sites", [("small", ["d", "fc"]), ("wide", ["stage2", "fc"])]
)
def test_the_backbone_is_masked_and_trains(name, sites):
    model = build_model("dmg", name, 3, DOMAINS, image_size=32)
    assert list(model.domain_masks) == sites
    model.compile(optimizer="sgd")
    inputs, labels = random_batch(batch=6)
    assert np.isfinite(model.train_on_batch(inputs, labels)).all()
    assert model(inputs["image"]).shape == (6, 3)
