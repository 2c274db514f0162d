import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.by_domain import (
    domain_order,
    flat,
    groups_of,
    in_groups,
)


def batch(ids):
    images = np.arange(len(ids), dtype=np.float32).reshape(-1, 1, 1, 1)
    return images, np.arange(len(ids)), np.int32(ids)


def test_groups_are_the_domains_in_the_order_of_rows():
    images, labels, ids = batch([0, 1, 2, 0, 1, 2])
    groups = groups_of(images, labels, ids, 3)
    assert groups.images.shape == (3, 2, 1, 1, 1)
    assert groups.labels.numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
    assert groups.weights.numpy().tolist() == [[1, 1]] * 3
    back = in_groups(flat(groups.images), 3)
    np.testing.assert_array_equal(back, groups.images)
    turned = groups.in_order([2, 0, 1])
    assert turned.labels.numpy().tolist() == [[2, 5], [0, 3], [1, 4]]
    assert turned.at(slice(1, None)).labels.numpy().tolist() == [[0, 3], [1, 4]]
    assert turned.at(tf.constant(0)).labels.numpy().tolist() == [2, 5]


@pytest.mark.parametrize(
    "ids,weights,expected",
    [
        # Means by domain of the row's number; 0 where there is none.
        ([2, 0, 0, 2], None, [1.5, 0, 1.5]),
        ([1, 1, 0, 2], None, [2, 0.5, 3]),
        ([0, 1, 2, 0, 1, 2], [1, 0, 3, 2, 0, 1], [3, 0, 5.5]),
    ],
)
def test_weights_make_means_over_the_images_of_a_domain(ids, weights, expected):
    images, labels, ids = batch(ids)
    groups = groups_of(images, labels, ids, 3, weights and np.float32(weights))
    assert groups.labels.shape == (3, 2)
    means = np.mean(groups.images.numpy()[..., 0, 0, 0] * groups.weights, 1)
    np.testing.assert_allclose(means, expected, rtol=1e-6)


def test_orders_are_a_function_of_seed_and_step():
    orders = [
        tuple(domain_order(seed, tf.constant(step), 3).numpy())
        for seed in (0, 1)
        for step in range(60)
    ]
    again = [tuple(domain_order(0, step, 3).numpy()) for step in range(60)]
    assert orders[:60] == again != orders[60:]
    assert {tuple(sorted(order)) for order in orders} == {(0, 1, 2)}
    # Each of the six is drawn about 20 times of 120.
    assert min(orders.count(order) for order in set(orders)) > 5
    assert len(set(orders)) == 6
