import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.data.streams.mixing import Mixing, boxes, partners
from dmg_tf.evaluation.scoring import dtype_policy

COUNT, SIDE = 24, 32


@pytest.fixture(scope="module")
def batch():
    """Images that are all their own number, with labels and domains."""
    numbers = np.arange(COUNT, dtype=np.float32)
    images = np.tile(numbers[:, None, None, None], [1, SIDE, SIDE, 3])
    domain_ids = (np.arange(COUNT) % 3).astype(np.int32)
    labels = (np.arange(COUNT) % 5).astype(np.int32)
    inputs = {"image": images, "domain_ids": domain_ids}
    return tf.nest.map_structure(tf.constant, (inputs, labels))


def mixed(batch, kind="mixup", alpha=1.0, within=False, key=(0, 3)):
    mix = Mixing(kind, alpha, 5, within)
    inputs, labels = mix(tf.constant(key, tf.int64), *batch)
    return inputs["image"].numpy(), labels.numpy()


def test_partners_are_an_order_within_groups():
    lots = np.random.default_rng(0).uniform(size=12).astype(np.float32)
    groups = np.array([0, 1, 2, 2, 1, 0, 0, 0, 1, 2, 0, 5], np.int32)
    found = partners(tf.constant(lots), tf.constant(groups)).numpy()
    assert sorted(found) == list(range(12))
    np.testing.assert_array_equal(groups[found], groups)
    assert found[11] == 11  # alone
    # One group: the rows in the order of their lots.
    found = partners(tf.constant(lots), tf.zeros([12], tf.int32))
    np.testing.assert_array_equal(found, np.argsort(lots))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
@pytest.mark.parametrize("within", [False, True])
def test_labels_are_mixed_as_images_are(batch, kind, within):
    images, shares = mixed(batch, kind, within=within)
    assert images.shape == (COUNT, SIDE, SIDE, 3)
    assert images.dtype == shares.dtype == np.float32
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    found = set()
    for row, (image, share) in enumerate(zip(images, shares, strict=True)):
        # What the row was mixed with follows from its pixels.
        mean = image.mean(dtype=np.float64)
        others = [i for i in range(COUNT) if not within or i % 3 == row % 3]
        fits = []
        for other in others:
            own = 1.0 if other == row else (mean - other) / (row - other)
            if not -1e-5 <= own <= 1 + 1e-5:
                continue
            label = own * np.eye(5)[row % 5] + (1 - own) * np.eye(5)[other % 5]
            if np.allclose(label, share, atol=1e-4):
                fits.append((other, own))
        assert fits, row
        found.add(fits[0])
        if kind == "cutmix":
            assert len(np.unique(image)) <= 2
            assert not np.ptp(image, axis=-1).any()
        else:
            assert np.ptp(image) == 0
    assert len(found) > COUNT // 2


def test_a_batch_is_mixed_by_its_key_alone(batch):
    first, again, other = (
        mixed(batch, key=key) for key in ((0, 3), (0, 3), (0, 4))
    )
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_is_in_float32_whatever_the_model_computes_in(batch, kind):
    expected = mixed(batch, kind)
    with dtype_policy("mixed_bfloat16"):
        found = mixed(batch, kind)
    for one, two in zip(expected, found, strict=True):
        assert two.dtype == np.float32
        np.testing.assert_array_equal(one, two)


def test_features_are_mixed_whatever_their_rank(batch):
    (inputs, labels), (_, shares) = batch, mixed(batch)
    flat = {**inputs, "image": inputs["image"][:, 0, 0]}
    images, same = mixed((flat, labels))
    np.testing.assert_array_equal(same, shares)
    np.testing.assert_array_equal(images, mixed(batch)[0][:, 0, 0])


def test_shares_are_beta():
    # Of Beta(α, α) the variance is 1 / (4 (2 α + 1)).
    count = 3000
    inputs = {
        "image": tf.reshape(tf.range(float(count)), [-1, 1]),
        "domain_ids": tf.zeros([count], tf.int32),
    }
    mix = Mixing("mixup", 0.4, count, False)
    key = tf.constant([1, 2], tf.int64)
    _, labels = mix(key, inputs, tf.range(count))
    shares = np.diag(labels)
    # An image that has itself for partner has a label of 1.
    shares = shares[shares < 1]
    assert len(shares) > count - 100
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * 1.8), rel=0.08)


def test_boxes_are_the_papers():
    shares = tf.constant([0.75, 0.75, 1.0, 0.0])
    centres = tf.constant([[0.5, 0.5], [0.0, 0.99], [0.5, 0.5], [0.5, 0.5]])
    found = boxes(shares, centres, (4, 16, 8, 3)).numpy()
    assert found.shape == (4, 16, 8, 1) and found.dtype == bool
    expected = np.zeros((4, 16, 8, 1), bool)
    expected[0, 4:12, 2:6] = True  # a quarter, in the middle
    expected[1, :4, 5:] = True  # cut off at the corner
    expected[3] = True
    np.testing.assert_array_equal(found, expected)
