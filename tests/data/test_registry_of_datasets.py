"""A dataset that is added by a name works wherever datasets are asked for."""

import dataclasses
import pathlib

import pytest

from dmg_tf.data import detect_dataset, readable_as
from dmg_tf.data.check.dataset import check_dataset
from dmg_tf.data.check.text import report_text
from dmg_tf.data.datasets.spec import PAPER_PRESETS, DatasetSpec, ListLayout
from dmg_tf.data.domains import domain_names
from dmg_tf.data.images.augment import AUGMENTATIONS
from dmg_tf.errors import UserError
from dmg_tf.registry import DATASETS
from tests.data.check.damage import CLASSES, DOMAINS


def _list_path(root: pathlib.Path, domain: str, split: str) -> pathlib.Path:
    return root / "toy" / f"of-{domain}" / f"{split}.lst"


LAYOUT = ListLayout(
    path=_list_path,
    words=("learn", "select", "score"),
    first_label=5,
    needs_validation=True,
    test_is_all=False,
)


def _load(root, target, sources=None, seed=0):
    return root, target, sources, seed


TOY = DatasetSpec(
    title="Toy",
    load=_load,
    domains=LAYOUT.domains,
    recognises=LAYOUT.recognises,
    presets={**PAPER_PRESETS, "epochs": 2},
    layout=LAYOUT,
    splits_in_words="As the toy has it.",
)
DRAWN = dataclasses.replace(
    TOY, built_in=True, domains=lambda root: ("p", "q"), layout=None
)


@pytest.fixture
def with_toy():
    with DATASETS.with_name("toy", f"{__name__}:TOY"):
        yield


@pytest.fixture
def toy_folder(copy_of):
    """Images in folders, and the toy's lists of them."""
    root = copy_of("folder")
    for domain in DOMAINS:
        for split, indices in (
            ("learn", range(6)),
            ("select", range(6, 8)),
            ("score", range(8, 10)),
        ):
            path = _list_path(root, domain, split)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(
                "".join(
                    f"{domain}/{name}/{i}.png {label}\n"
                    for label, name in enumerate(CLASSES, LAYOUT.first_label)
                    for i in indices
                )
            )
    return root


def test_a_folder_is_detected_and_its_domains_named(with_toy, toy_folder):
    assert detect_dataset("auto", str(toy_folder)) == "toy"
    assert domain_names("auto", str(toy_folder)) == tuple(sorted(DOMAINS))
    assert detect_dataset("folder", str(toy_folder)) == "folder"
    spec = DATASETS["toy"]
    assert spec.load("x", "photo", seed=3) == ("x", "photo", None, 3)
    assert spec.presets["epochs"] == 2
    with pytest.raises(UserError, match="--dataset toy needs its folder"):
        detect_dataset("toy", None)


def test_a_folder_that_none_recognises_is_the_fallback(with_toy, originals):
    assert detect_dataset("auto", str(originals / "folder")) == "folder"
    with pytest.raises(UserError, match="no lists .*toy/of-<domain>/learn.lst"):
        domain_names("toy", str(originals / "folder"))


def test_a_folder_is_checked_by_its_lists(with_toy, toy_folder):
    assert readable_as()[-1] == "toy"
    report = check_dataset(toy_folder, fast=True)
    assert report["dataset"] == "toy" and report["problems"] == []
    assert report["domains"][DOMAINS[0]] == {
        "images": 10 * len(CLASSES),
        "train": 6 * len(CLASSES),
        "validation": 2 * len(CLASSES),
        "test": 2 * len(CLASSES),
    }
    assert "As the toy has it." in report_text(report)
    _list_path(toy_folder, DOMAINS[0], "select").unlink()
    problem, *_ = check_dataset(toy_folder, fast=True)["problems"]
    assert problem["kind"] == "missing_list"
    assert problem["examples"] == [f"toy/of-{DOMAINS[0]}/select.lst"]


def test_another_built_in_dataset_is_had_by_name(tiny_folder):
    built_in = detect_dataset("auto", None)
    with DATASETS.with_name("drawn", f"{__name__}:DRAWN"):
        assert detect_dataset("auto", None) == built_in
        assert detect_dataset("drawn", None) == "drawn"
        assert domain_names("drawn", None) == ("p", "q")
        assert "drawn" not in readable_as()
        with pytest.raises(UserError, match="drawn is built in and takes no"):
            detect_dataset("drawn", str(tiny_folder))


def test_unknown_names_are_told(tiny_folder):
    for root in (None, str(tiny_folder)):
        with pytest.raises(UserError, match="unknown dataset 'pcas'.*'pacs'"):
            detect_dataset("pcas", root)


def test_specs_fit_together():
    specs = [DATASETS[name] for name in DATASETS.names()]
    assert sum(spec.fallback for spec in specs) == 1
    assert any(spec.built_in for spec in specs)
    for spec in specs:
        assert spec.augment in AUGMENTATIONS
        assert spec.weights in ("imagenet", "none")
        assert spec.presets.keys() - {"recipe"} == PAPER_PRESETS.keys()
