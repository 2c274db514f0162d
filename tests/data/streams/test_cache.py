import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.data.datasets.folder import load
from dmg_tf.data.images.decoding import decode
from dmg_tf.data.streams import cache as cache_module
from dmg_tf.data.streams.cache import DiskCache, Files, MemoryCache, make_cache
from dmg_tf.data.streams.evaluation import ImageSpec, evaluation_dataset
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.errors import UserError
from dmg_tf.evaluation.images import naming_bad_images
from tests.data.streams.test_training import assert_equal_batches, batches

SPEC = ImageSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "crop_and_jitter")


@pytest.fixture(scope="module")
def data(tiny_folder):
    return load(tiny_folder, "c")


@pytest.fixture(params=["memory", "disk"])
def cache(request, tmp_path):
    return make_cache(request.param, 32, str(tmp_path / "cache"))


def test_batches_are_the_same_with_and_without(data, cache):
    plain = TrainingStream(data.train, SPEC, 8, seed=0)
    cache.fill([*data.train.paths, *data.validation.paths])
    cached = TrainingStream(data.train, SPEC, 8, seed=0, images=cache)
    # two epochs of 8 steps: neither order nor augmentation is frozen
    assert_equal_batches(batches(cached, 16), batches(plain, 16))
    assert_equal_batches(
        evaluation_dataset(data.validation, SPEC, 4, cache).as_numpy_iterator(),
        evaluation_dataset(data.validation, SPEC, 4).as_numpy_iterator(),
    )


def test_each_file_is_decoded_once(data, cache):
    paths = list(data.train.paths)
    done = []
    assert cache.missing(paths) == paths
    cache.fill([*paths, *paths], done.append)
    assert sum(done) == len(paths) and cache.missing(paths) == []
    cache.fill(paths, done.append)
    assert sum(done) == len(paths)


def test_images_of_all_kinds_are_kept_as_decoded(tmp_path, cache):
    from tests.data.images.pictures import encoded
    from tests.data.images.test_decoding import RGB, large

    files = {
        "grey.png": encoded(RGB.convert("L"), "PNG"),
        "palette.gif": encoded(RGB.convert("P"), "GIF"),
        "ünïcode.jpg": encoded(RGB, "JPEG"),
        "large.jpg": encoded(large(200, 240), "JPEG"),
    }
    paths = []
    for name, contents in files.items():
        (tmp_path / name).write_bytes(contents)
        paths.append(str(tmp_path / name))
    cache.fill(paths)
    dataset = tf.data.Dataset.range(4).map(cache.reader(paths))
    for image, contents in zip(dataset, files.values(), strict=True):
        assert image.dtype == tf.uint8
        np.testing.assert_array_equal(image, decode(contents, 32))
    assert image.shape == (100, 120, 3)  # the large one, at half its size


def test_a_disk_cache_serves_later_runs_until_an_image_changes(tmp_path, data):
    path = str(tmp_path / "image.png")
    shutil.copy(data.train.paths[0], path)
    first = DiskCache(tmp_path / "cache", 32)
    first.fill([path])
    kept = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert len(kept) == 1 and kept[0].stat().st_size == 8 + 40 * 48 * 3 + 8
    assert DiskCache(tmp_path / "cache", 32).missing([path]) == []
    assert DiskCache(tmp_path / "cache", 64).missing([path]) == [path]
    shutil.copy(data.train.paths[-1], path)
    os.utime(path, ns=(1, 1))
    later = DiskCache(tmp_path / "cache", 32)
    assert later.missing([path]) == [path]
    later.fill([path])
    np.testing.assert_array_equal(
        later.reader([path])(0), Files(32).reader([path])(0)
    )


@pytest.mark.parametrize("kind", ["memory", "disk"])
def test_too_little_room_is_said_before_it_is_used_up(
    kind, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(cache_module, "_available_memory", lambda: 1e5)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=10**5)
    )
    cache = make_cache(kind, 32, str(tmp_path / "cache"))
    other = "disk" if kind == "memory" else "none"
    with pytest.raises(UserError, match=f"would take .* --cache {other}"):
        cache.fill(data.train.paths)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, data):
    (tmp_path / "file").write_text("")
    cache = DiskCache(tmp_path / "file", 32)
    with pytest.raises(UserError, match="cannot write the image cache .*file"):
        cache.fill(data.train.paths[:1])


def test_a_missing_image_is_named(tmp_path):
    cache = DiskCache(tmp_path, 32)
    with pytest.raises(UserError, match="gone.png: No such file"):
        cache.missing([str(tmp_path / "gone.png")])


def test_a_kept_image_that_is_gone_is_named(tmp_path, data):
    """Someone cleans up while a run reads."""
    cache = DiskCache(tmp_path / "my cache", 32)
    paths = data.train.paths
    cache.fill(paths)
    for path in (tmp_path / "my cache").rglob("*"):
        if path.is_file():
            path.unlink()
    words = f"{tmp_path}/my cache/.* is gone, .* again with --resume"
    with pytest.raises(UserError, match=words), naming_bad_images(paths):
        stream = TrainingStream(data.train, SPEC, 8, seed=0, images=cache)
        next(iter(stream.dataset()))


def test_memory_is_measured():
    assert 1e8 < cache_module._available_memory()
    assert isinstance(make_cache("none", 32), Files)
    assert isinstance(make_cache("memory", 32), MemoryCache)


def test_the_default_folder_follows_the_system(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert (
        make_cache("disk", 32)._files.folder == tmp_path / "dmg_tf" / "images"
    )
