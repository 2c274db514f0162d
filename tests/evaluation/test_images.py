import dataclasses
import shutil

import numpy as np
import pytest

from dmg_tf.config import RunConfig
from dmg_tf.data.datasets.folder import load
from dmg_tf.errors import UserError
from dmg_tf.evaluation.images import RunImages, images_of_run
from dmg_tf.methods.build import build_model

pytestmark = pytest.mark.usefixtures("with_stub")


def settings(data, **changes):
    config = RunConfig(
        data=str(data),
        target="c",
        image_size=32,
        batch_size=8,
        output="nowhere",
        backbone="stub",
        weights="none",
        **changes,
    )
    return config.resolve("folder")


def results_of(config, bad=()):
    return {
        "config": config.to_json(),
        "source_domains": ["b", "a"],
        "class_names": ["x", "y", "z"],
        "bad_images": dict.fromkeys(bad, "damaged"),
    }


def all_paths(data):
    splits = (data.train, data.validation, data.out_of_domain)
    return {path for split in splits for path in split.paths}


@pytest.fixture
def bad(tiny_folder):
    """What a run left out: an image of a source, and one of the target."""
    return [str(tiny_folder / "a/x/3.png"), str(tiny_folder / "c/y/5.png")]


def test_a_run_has_the_images_that_it_had(tiny_folder, bad):
    config, data = images_of_run(results_of(settings(tiny_folder), bad))
    assert config.sources == data.source_domains == ("b", "a")
    everything = all_paths(load(tiny_folder, "c"))
    assert all_paths(data) == everything - set(bad)


def test_they_are_the_same_ones_where_they_were_moved(
    tiny_folder, bad, tmp_path
):
    moved = tmp_path / "moved"
    shutil.copytree(tiny_folder, moved)
    before = settings(f"{tiny_folder}/")
    now = dataclasses.replace(before, data=str(moved))
    config, data = images_of_run(results_of(before, bad), now)
    assert config.dataset == "folder" and config.data == str(moved)
    _, at_first = images_of_run(results_of(before, bad))
    assert all_paths(data) == {
        path.replace(str(tiny_folder), str(moved))
        for path in all_paths(at_first)
    }


def test_other_classes_are_refused(tiny_folder):
    results = results_of(settings(tiny_folder))
    results["class_names"] = ["x", "y"]
    with pytest.raises(UserError, match="knows the classes x, y; .* x, y, z"):
        images_of_run(results)


@pytest.fixture(scope="module")
def model(with_stub):
    return build_model("aggregate", "stub", 3, ("a", "b"), image_size=32)


def batches_of(stream):
    return [
        (inputs["image"].numpy(), inputs["domain_ids"].numpy(), labels.numpy())
        for inputs, labels in stream
    ]


@pytest.mark.parametrize("track_target", [False, True])
def test_cached_images_are_those_of_the_files(tiny_folder, model, track_target):
    data = load(tiny_folder, "c")
    plain = RunImages(settings(tiny_folder), data, model)
    kept = RunImages(
        settings(tiny_folder, cache="memory", track_target=track_target),
        data,
        model,
    )
    kept.fill_cache()
    # Without --track-target those of the target are read from their files.
    for name in ("validation", "in_domain", "target"):
        pairs = zip(
            batches_of(getattr(plain, name)()),
            batches_of(getattr(kept, name)()),
            strict=True,
        )
        for first, second in pairs:
            for one, other in zip(first, second, strict=True):
                np.testing.assert_array_equal(one, other)


def test_features_are_what_the_last_layer_takes(tiny_folder, model):
    data = load(tiny_folder, "c")
    sources = RunImages(settings(tiny_folder), data, model).sources
    for split, examples in (
        ("train", data.train),
        ("validation", data.validation),
    ):
        batches = list(sources.features(split))
        hidden, labels, ids = map(np.concatenate, zip(*batches, strict=True))
        np.testing.assert_array_equal(labels, examples.labels)
        np.testing.assert_array_equal(ids, examples.domain_ids)
        images = np.concatenate(
            [batch[0] for batch in batches_of(sources.batches(split))]
        )
        last = model.task_network.stages[-1]
        np.testing.assert_allclose(
            hidden @ last.kernel.numpy() + last.bias.numpy(),
            model.logits(images),
            atol=1e-5,
        )
