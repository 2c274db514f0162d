import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.data.datasets.folder import load
from dmg_tf.data.streams.evaluation import ImageSpec, evaluation_dataset
from dmg_tf.data.streams.mixing import Mixing
from dmg_tf.data.streams.training import Shard, TrainingStream

SPEC = ImageSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "crop_and_jitter")


@pytest.fixture(scope="module")
def data(tiny_folder):
    return load(tiny_folder, "c")


def batches(stream, count, start=0):
    return list(
        itertools.islice(stream.dataset(start).as_numpy_iterator(), count)
    )


def assert_equal_batches(first, second):
    for one, two in zip(first, second, strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, two)


def test_element_specs(data):
    stream = TrainingStream(data.train, SPEC, 8, seed=0)
    image = tf.TensorSpec((8, 32, 32, 3), tf.float32)
    ids = tf.TensorSpec((8,), tf.int32)
    spec = ({"image": image, "domain_ids": ids}, ids)
    assert stream.dataset().element_spec == spec
    image = tf.TensorSpec((None, 32, 32, 3), tf.float32)
    ids = tf.TensorSpec((None,), tf.int32)
    spec = ({"image": image, "domain_ids": ids}, ids)
    assert evaluation_dataset(data.train, SPEC, 8).element_spec == spec


def test_an_epoch_shows_each_image_at_most_once(data):
    stream = TrainingStream(data.train, SPEC, 8, seed=0)
    assert stream.steps_per_epoch == 8  # of 66 images, 64 are shown
    epochs = [
        np.concatenate([stream.examples_of_step(8 * e + s) for s in range(8)])
        for e in range(3)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == 64
    assert not np.array_equal(epochs[0], epochs[1])
    assert len(set(np.concatenate(epochs))) == 66
    other = TrainingStream(data.train, SPEC, 8, seed=1)
    assert not np.array_equal(other.examples_of_step(0), epochs[0][:8])


def test_labels_and_domains_belong_to_the_images(data):
    stream = TrainingStream(data.train, SPEC, 8, seed=0)
    for step, (inputs, labels) in enumerate(batches(stream, 10)):
        index = stream.examples_of_step(step)
        np.testing.assert_array_equal(labels, data.train.labels[index])
        np.testing.assert_array_equal(
            inputs["domain_ids"], data.train.domain_ids[index]
        )
        # a class is a colour here: its channel is the brightest
        brightest = inputs["image"].mean((1, 2)).argmax(-1)
        assert brightest.shape == labels.shape


def test_classes_are_told_by_colour_without_augmentation(data):
    spec = dataclasses.replace(SPEC, augment="none")
    stream = TrainingStream(data.train, spec, 8, seed=0)
    for inputs, labels in batches(stream, 8):
        brightest = inputs["image"].mean((1, 2)).argmax(-1)
        np.testing.assert_array_equal(brightest, labels)


@pytest.mark.parametrize("sampling", ["pooled", "balanced"])
def test_a_stream_can_start_anywhere(data, sampling):
    stream = TrainingStream(data.train, SPEC, 8, 0, sampling, num_domains=2)
    whole = batches(stream, 12)
    assert_equal_batches(batches(stream, 5, start=7), whole[7:])
    assert_equal_batches(batches(stream, 12), whole)


def test_mixed_batches_can_start_anywhere_and_be_shared_out(data):
    settings = {"batch_size": 8, "seed": 0, "sampling": "balanced"}
    plain = TrainingStream(data.train, SPEC, **settings, num_domains=2)
    mixing = Mixing("mixup", 1.0, 3, within_domains=True)
    stream = TrainingStream(
        data.train, SPEC, **settings, num_domains=2, mixing=mixing
    )
    whole = batches(stream, 6)
    assert_equal_batches(batches(stream, 2, start=4), whole[4:])
    for (inputs, shares), (before, labels) in zip(
        whole, batches(plain, 6), strict=True
    ):
        np.testing.assert_array_equal(
            inputs["domain_ids"], before["domain_ids"]
        )
        assert not np.array_equal(inputs["image"], before["image"])
        # Each image twice, with shares that are 1 together.
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
        assert np.all(shares[np.arange(8), labels] > 0)
    # Two devices of a machine have what one would have.
    halves = stream.dataset(4, Shard(replicas=2))
    assert halves.element_spec[1] == tf.TensorSpec((4, 3), tf.float32)
    for part in (0, 1):
        rows = slice(4 * part, 4 * part + 4)
        for (inputs, shares), (all_inputs, all_shares) in zip(
            itertools.islice(halves.as_numpy_iterator(), part, 4, 2),
            whole[4:],
            strict=True,
        ):
            np.testing.assert_array_equal(shares, all_shares[rows])
            np.testing.assert_array_equal(
                inputs["image"], all_inputs["image"][rows]
            )
    # Two machines mix their own rows.
    other = next(stream.dataset(4, Shard(1, 2, 2)).as_numpy_iterator())
    assert other[1].shape == (4, 3)
    assert not np.array_equal(other[1], whole[4][1][4:])


def test_augmentation_changes_from_epoch_to_epoch(data):
    stream = TrainingStream(data.train.select([5]), SPEC, 1, seed=0)
    first, second = (inputs["image"] for inputs, _ in batches(stream, 2))
    assert np.abs(first - second).mean() > 0.01


def test_balanced_batches_hold_every_domain_alike(data):
    few = data.train.select(np.r_[0:6, 33:66])  # 6 of one domain, 33 of other
    stream = TrainingStream(few, SPEC, 8, 0, "balanced", num_domains=2)
    seen = []
    for step in range(12):
        index = stream.examples_of_step(step)
        assert list(np.bincount(few.domain_ids[index])) == [4, 4]
        seen += list(index)
    counts = np.bincount(seen, minlength=39)
    assert counts[:6].min() == counts[:6].max() == 8  # 48 / 6
    assert counts[6:].min() >= 1  # 48 draws over 33 images


def test_fewer_images_than_a_batch(data):
    stream = TrainingStream(data.train.select([0, 40, 50]), SPEC, 64, seed=0)
    assert (stream.batch_size, stream.steps_per_epoch) == (3, 1)
    assert batches(stream, 2)[1][1].shape == (3,)


def test_evaluation_shows_every_image_once_in_order(data):
    found = list(
        evaluation_dataset(data.validation, SPEC, 4).as_numpy_iterator()
    )
    labels = np.concatenate([labels for _, labels in found])
    np.testing.assert_array_equal(labels, data.validation.labels)
    assert [len(labels) for _, labels in found] == [4, 2]
    first = found[0][0]["image"][0]
    image = tf.io.decode_png(tf.io.read_file(data.validation.paths[0]))
    expected = tf.image.resize(image, [32, 32], antialias=True) / 127.5 - 1
    np.testing.assert_allclose(first, expected, atol=1e-5)
