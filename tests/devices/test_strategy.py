"""One device and two end with the same weights and the same predictions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from dmg_tf.commands import train
from dmg_tf.data.datasets.folder import load
from dmg_tf.data.streams.evaluation import ImageSpec
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.devices import machines
from dmg_tf.devices.devices import Devices
from dmg_tf.devices.machines import naming_lost_workers, share
from dmg_tf.devices.strategy import make_strategy, prepare_fit
from dmg_tf.errors import UserError
from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.layers.batch_norm import FusedBatchNorm
from dmg_tf.methods.build import build_model
from dmg_tf.training.optimizers import OPTIMIZERS
from tests.devices.workers import command, last_weights
from tests.helpers import random_batch

STEPS = 5


@pytest.fixture(scope="module")
def data(tiny_folder):
    return load(tiny_folder, "c")


@pytest.fixture
def small(with_stub):
    """The name of a backbone that takes no time to trace."""
    return "stub"


def make(
    strategy, method, backbone, optimizer="adam", rate=1e-3, **optimizer_options
):
    with strategy.scope():
        # A penalty or a decay that counts twice would show.
        options = {"siou_weight": 10.0} if method == "dmg" else {}
        model = build_model(
            method, backbone, 3, ("a", "b"), image_size=32, **options
        )
        model.compile(
            optimizer=OPTIMIZERS[optimizer](rate, l2=1e-2, **optimizer_options)
        )
        model.optimizer.build(model.trainable_variables)
    prepare_fit(model)
    return model


def trained(name, data, augment, *args, **kwargs):
    """Returns model, logs and how far each weight moved, after some steps."""
    devices = Devices(name)
    model = make(devices.strategy, *args, **kwargs)
    before = [w.numpy() for w in model.trainable_weights]
    spec = ImageSpec(32, model.mean, model.std, augment)
    stream = TrainingStream(data.train, spec, 8, seed=3)
    history = model.fit(
        devices.dataset(stream, 0),
        steps_per_epoch=STEPS,
        shuffle=False,
        verbose=0,
    ).history
    moves = {}
    for weight, start in zip(model.trainable_weights, before, strict=True):
        moves[weight.path] = np.abs(weight.numpy() - start).max()
        assert moves[weight.path] > 1e-6, weight.path
    return model, {name: values[0] for name, values in history.items()}, moves


def assert_same_on_two_devices(data, *args, **kwargs):
    """Compares weights where their error is proportional to the gradients'.

    float32 gradients, sums of up to 9216 products here, differ by some
    sqrt(9216) * 2^-24 = 6e-6 of their size, whichever kernel computes them. In
    proportion, that is 1e-4 of a weight's movement with a wide margin; what a
    penalty or decay that counts twice adds is far more.
    """
    one, one_logs, moves = trained("one", data, *args, **kwargs)
    two, two_logs, _ = trained("mirrored", data, *args, **kwargs)
    assert two.distribute_strategy.num_replicas_in_sync == 2
    for first, second in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(
            first,
            second,
            rtol=0,
            atol=min(1e-5, 1e-4 * moves.get(first.path, 1)),
            err_msg=first.path,
        )
    assert one_logs == pytest.approx(two_logs, rel=1e-4)


@pytest.mark.slow
def test_two_devices_train_alexnet_as_one(data):
    """With an epsilon above the rounding of gradients.

    Adam's own 1e-8 lies below it: where a gradient is nearly 0, as some are of
    57 million, its rounding alone decides which way a whole step goes. With
    this one a step of rate * m / (sqrt(v) + epsilon) follows such gradients in
    proportion.
    """
    assert_same_on_two_devices(
        data, "crop_and_jitter", "dmg", "alexnet", epsilon=1e-3
    )


@pytest.mark.parametrize("method", ["dmg", "multi_headed"])
def test_two_devices_train_as_one_with_sgd(data, small, method):
    assert_same_on_two_devices(
        data, "crop_and_jitter", method, small, optimizer="sgd", rate=0.01
    )


def test_devices_agree_on_what_metareg_learns(data, small):
    """Each has its own images; the regulariser is the mean of theirs."""
    model, *_ = trained("mirrored", data, "none", "metareg", small)
    for weight in (*model.regularizer_weights, *model.domain_networks):
        first, second = model.distribute_strategy.experimental_local_results(
            weight.value
        )
        np.testing.assert_array_equal(first, second)
        assert np.any(first.numpy()), weight.path


def test_batch_normalisation_averages_its_running_statistics():
    """Each half has its own; all replicas keep the mean of what they saw."""
    strategy = make_strategy("mirrored")
    with strategy.scope():
        layer = FusedBatchNorm()
        layer.build((None, 2, 2, 3))
    halves = np.random.default_rng(0).normal(size=(2, 4, 2, 2, 3))
    halves = (halves * [[[[1, 2, 3]]]] + 1).astype(np.float32)
    inputs = strategy.experimental_distribute_values_from_function(
        lambda place: halves[place.replica_id_in_sync_group]
    )
    strategy.run(tf.function(lambda x: layer(x, training=True)), args=(inputs,))
    means = halves.mean((1, 2, 3))
    variances = halves.var((1, 2, 3), ddof=1)
    for weight, expected in (
        (layer.moving_mean, 0.1 * means.mean(0)),
        (layer.moving_variance, 0.9 + 0.1 * variances.mean(0)),
    ):
        for copy in strategy.experimental_local_results(weight.value):
            np.testing.assert_allclose(copy, expected, rtol=1e-5)


def test_no_replica_steps_when_one_overflows(small):
    """Each must know of the others' gradients before it decides."""
    strategy = make_strategy("mirrored")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = make(strategy, "dmg", small)
    finally:
        keras.config.set_dtype_policy("float32")
    before = [w.numpy() for w in model.trainable_weights]
    inputs, labels = random_batch(batch=4, domains=2)

    def step(bad):
        images = inputs["image"].copy()
        images[bad] = np.inf
        batches = tf.data.Dataset.from_tensor_slices(
            ({**inputs, "image": images}, labels)
        ).batch(2)
        data = strategy.distribute_datasets_from_function(lambda _: batches)
        model.fit(data, steps_per_epoch=1, verbose=0, shuffle=False)
        return [w.numpy() for w in model.trainable_weights]

    for bad in (3, 0):  # a row of the second replica, and of the first
        for start, weight in zip(before, step([bad]), strict=True):
            np.testing.assert_array_equal(start, weight)
    for start, weight in zip(before, step([]), strict=True):
        assert np.all(np.isfinite(weight)) and not np.array_equal(start, weight)


def test_evaluation_on_two_devices_counts_each_image_once(small):
    inputs, labels = random_batch(batch=11, domains=2)
    dataset = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(4)
    found = []
    for name in ("one", "mirrored"):
        model = make(make_strategy(name), "dmg", small)
        sizes = []
        rules = (*model.prediction_rules, model.selection_rule)
        found.append(Evaluator(model, rules)(dataset, sizes.append))
        assert sizes == [4, 4, 3]
    one, two = found
    np.testing.assert_array_equal(two.labels, labels)
    np.testing.assert_array_equal(two.domain_ids, inputs["domain_ids"])
    assert one.predicted.keys() == two.predicted.keys()
    for rule, predicted in one.predicted.items():
        np.testing.assert_array_equal(predicted, two.predicted[rule])
    # a single image is enough for two devices
    last = dataset.skip(2).unbatch().take(1).batch(4)
    assert Evaluator(model, rules)(last).labels.shape == (1,)


def test_a_run_on_two_devices(small, tiny_folder, tmp_path, capsys):
    """The command line, whose run may go on with other devices."""
    one, two = tmp_path / "one", tmp_path / "two"
    common = ("--cache", "memory", "--mix", "cutmix")
    assert train.main(command(tiny_folder, one, *common)) == 0
    argv = command(tiny_folder, two, *common, "--strategy")
    assert train.main([*argv, "mirrored", "--epochs", "2"]) == 0
    said = capsys.readouterr().err
    assert "2 devices share each batch of 4, 2 images a device" in said
    assert train.main([*argv, "one", "--resume"]) == 0
    weights = last_weights(two)
    for name, value in last_weights(one).items():
        np.testing.assert_allclose(value, weights[name], atol=1e-5)


def test_batch_that_cannot_be_shared(tiny_folder, tmp_path, capsys):
    argv = command(tiny_folder, tmp_path / "run", "--strategy", "mirrored")
    argv += ["--batch-size", "5", "--backbone", "resnet18"]
    assert train.main(argv) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "all 2 devices together" in line
    assert "got 5" in line and "try 6" in line
    assert not (tmp_path / "run").exists()


def test_several_devices_take_no_xla(tiny_folder, tmp_path, capsys):
    argv = command(tiny_folder, tmp_path / "run", "--strategy", "mirrored")
    assert train.main([*argv, "--backbone", "resnet18", "--jit"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--jit" in line and "--strategy one" in line


def test_few_images_are_shared_evenly():
    devices = Devices("mirrored")
    devices.check(64, jit=False)
    assert devices.even_batch(64, 7) == 6
    assert Devices("one").even_batch(64, 7) == 7
    with pytest.raises(UserError, match="1 images .* the 2 devices"):
        devices.even_batch(64, 1)


@pytest.mark.parametrize(
    "name, asked, examples, expected",
    [
        ("one", 64, 100, 63),
        ("one", 64, 7, 6),
        ("one", 4, 100, 3),
        ("mirrored", 64, 100, 60),
        ("mirrored", 6, 6, 6),
    ],
)
def test_each_device_gets_equally_many_images_of_each_domain(
    name, asked, examples, expected
):
    assert Devices(name).even_batch(asked, examples, 3) == expected


def test_a_batch_that_has_no_image_of_some_domain():
    with pytest.raises(UserError, match="at least 6, .* each device, got 4"):
        Devices("mirrored").even_batch(4, 100, 3)
    with pytest.raises(UserError, match="at least 3, .* got 64 of 2 images"):
        Devices("one").even_batch(64, 2, 3)


def test_one_device_is_one_whatever_the_cluster_says(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"ps": ["here"]}}')
    assert make_strategy("one").num_replicas_in_sync == 1
    with pytest.raises(UserError, match="names the job 'ps'"):
        make_strategy("auto")


def test_auto_takes_one_cpu_as_it_is(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    devices = Devices("auto")
    assert devices.replicas == 1 and devices.chief
    assert devices.strategy is tf.distribute.get_strategy()
    assert share(devices.strategy, 7) == [7]
    assert devices.from_chief([0.5, 7.0]) == [0.5, 7.0]


def test_multi_worker_needs_to_know_the_workers(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(UserError, match="needs the environment variable"):
        make_strategy("multi_worker")


def test_workers_that_see_other_checkpoints(monkeypatch):
    monkeypatch.setattr(machines, "share", lambda *_: [2, 0])
    with pytest.raises(UserError, match="one folder that all workers share"):
        Devices("one").check_same_epoch(2, "runs/x")


def test_other_errors_are_not_taken_for_lost_workers():
    error = tf.errors.UnavailableError(None, None, "the data service is gone")
    with pytest.raises(tf.errors.UnavailableError):
        with naming_lost_workers(make_strategy("mirrored")):
            raise error
