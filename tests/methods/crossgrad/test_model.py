import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import SGD
from tests.helpers import random_batch

pytestmark = pytest.mark.usefixtures("with_stub")
DOMAINS = ("a", "b", "c")


def make(method="crossgrad", **options):
    model = build_model(method, "stub", 4, DOMAINS, image_size=32, **options)
    model.compile(SGD(0.1, momentum=0.0), run_eagerly=True)
    return model


def movements(model, data):
    """Returns what a step adds to the images, for both networks."""
    found, plain = [], model.movement

    def kept(*args):
        found.append(plain(*args).numpy())
        return plain(*args)

    model.movement = kept
    model.objective(*data)
    return found


def test_images_move_up_the_other_network_s_loss():
    (inputs, labels), size = random_batch(batch=6, classes=4), 0.01
    model = make(
        crossgrad_label_step=size,
        crossgrad_domain_step=size,
        crossgrad_clip=1e9,
    )
    for network, step, targets in zip(
        (model.domain_network, model),
        movements(model, (inputs, labels)),
        (inputs["domain_ids"], labels),
        strict=True,
    ):

        def loss(images, network=network, targets=targets):
            logits = network.forward({"image": images}).logits
            return tf.nn.sparse_softmax_cross_entropy_with_logits(
                targets, logits
            ).numpy()

        image = inputs["image"]
        rise = loss(image + step) - loss(image)
        # To first order, each image's own loss rises by ε |∇|².
        slopes = np.sum((step / size) ** 2, axis=(1, 2, 3)) * size
        np.testing.assert_allclose(rise, slopes, rtol=0.05, atol=1e-5)
        assert np.all(rise > 0)


def test_the_batch_s_gradient_is_as_many_times_smaller():
    data = random_batch(batch=6, classes=4)
    own = movements(make(crossgrad_clip=1e9), data)
    batch = movements(
        make(crossgrad_clip=1e9, crossgrad_gradient="batch"), data
    )
    for one, two in zip(own, batch, strict=True):
        np.testing.assert_allclose(one, 6 * two, rtol=1e-4, atol=1e-9)
    clipped = movements(make(crossgrad_clip=1e-3), data)[0]
    np.testing.assert_allclose(clipped, np.clip(own[0], -1e-3, 1e-3), atol=1e-9)


def test_without_moved_images_the_network_is_the_pooled_one():
    data = random_batch(batch=6, classes=4)
    plain, model = make("aggregate"), make(crossgrad_label_share=0.0)
    for each in (plain, model):
        each.train_step(data)
    for one, two in zip(
        plain.network_weights(), model.network_weights(), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-7)


def test_both_networks_start_from_the_same_file():
    model = make()
    rng = np.random.default_rng(0)
    state = {
        name: rng.normal(size=[v.shape[i] for i in np.argsort(axes)])
        for name, (v, axes) in model.torchvision_entries().items()
    }
    head = model.domain_network.task_network.stages[-1].kernel.numpy()
    model.load_torchvision(state)
    mine = model.torchvision_entries()
    for name, (v, _) in model.domain_network.torchvision_entries().items():
        if not name.startswith("fc"):
            np.testing.assert_array_equal(v, mine[name][0], err_msg=name)
    kept = model.domain_network.task_network.stages[-1].kernel
    np.testing.assert_array_equal(kept, head)
    assert kept.shape == (8, 3)
