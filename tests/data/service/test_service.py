"""Dispatcher and workers of a tf.data service, on loopback."""

import itertools
import shutil
import signal
import socket

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.commands import data_service as service
from dmg_tf.commands import train
from dmg_tf.data.datasets.folder import load
from dmg_tf.data.service import client as service_client
from dmg_tf.data.service.client import check_service, parse_address
from dmg_tf.data.streams.cache import make_cache
from dmg_tf.data.streams.evaluation import ImageSpec
from dmg_tf.data.streams.mixing import Mixing
from dmg_tf.data.streams.training import Shard, TrainingStream
from dmg_tf.errors import UserError
from tests.devices.workers import command
from tests.forked import Forked

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("with_stub")]
SPEC = ImageSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "crop_and_jitter")


@pytest.fixture(scope="module")
def start():
    """Starts parts of a service; returns process and first line."""
    processes = []

    def start(*argv):
        process = Forked(service.main, argv)
        processes.append(process)
        return process, process.says("the ", "error: ")

    yield start
    for process in processes:
        process.kill()


@pytest.fixture(scope="module")
def begun(start):
    """A dispatcher with one worker: its process and its address."""
    process, address = dispatcher(start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service_client, "_PROBE_SECONDS", 1)
        with pytest.raises(UserError, match="has no worker; start one with"):
            check_service(address, ["a.png"])
    add_worker(start, address)
    return process, address


@pytest.fixture(scope="module")
def alone(begun):
    """The address."""
    return begun[1]


def dispatcher(start):
    """Starts one; returns its process and its address."""
    process, line = start("dispatcher", "--port", str(free_port()))
    assert line.startswith("the dispatcher listens at port ")
    return process, f"localhost:{line.split()[5].rstrip(';')}"


def add_worker(start, address):
    _, line = start(*("worker", "--dispatcher", address, "--host", "localhost"))
    assert line.startswith("the worker localhost:")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def stream(examples, address=None, **kwargs):
    return TrainingStream(examples, SPEC, 8, 0, service=address, **kwargs)


def batches(dataset, count):
    return list(itertools.islice(dataset.as_numpy_iterator(), count))


# Where images come from, whose they are and what they are mixed with are parts
# of their own.
@pytest.mark.parametrize(
    "cache,shard", [("none", None), ("disk", Shard(1, 2, 4))]
)
def test_one_worker_keeps_the_order(tiny_folder, tmp_path, alone, cache, shard):
    train_split = load(tiny_folder, "c").train
    images = None
    mixing = None
    if cache == "disk":
        images = make_cache("disk", 32, str(tmp_path))
        images.fill(train_split.paths)
        mixing = Mixing("cutmix", 1.0, 3, within_domains=False)
    # an epoch has 8 steps: this is from within the first into the third
    local = stream(train_split, mixing=mixing).dataset(3, shard)
    remote = stream(train_split, alone, images=images, mixing=mixing)
    remote = remote.dataset(3, shard)
    assert remote.element_spec == local.element_spec
    for one, two in zip(batches(local, 15), batches(remote, 15), strict=True):
        tf.nest.map_structure(np.testing.assert_array_equal, one, two)


def test_a_run_with_the_service_is_the_run_without(
    tiny_folder, tmp_path, alone, capsys
):
    for name in ("local", "remote"):
        argv = command(tiny_folder, tmp_path / name, "--epochs", "1")
        argv += ["--method", "aggregate"]
        if name == "remote":
            argv += ["--data-service", alone]
        assert train.main(argv) == 0
    assert f"note: the data service at {alone}" in capsys.readouterr().err
    rows = [
        (tmp_path / name / "history.csv").read_text().splitlines()[1]
        for name in ("local", "remote")
    ]
    # all columns but the clock's
    assert rows[0].split(",")[:-2] == rows[1].split(",")[:-2]


# === Mistakes ===


def error_of(capsys, main, argv):
    capsys.readouterr()
    assert main(argv) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("error: ")
    return errors[-1]


@pytest.mark.parametrize("text", ["host", "host:", ":5050", "host:99999"])
def test_wrong_address(text):
    with pytest.raises(UserError, match="must be HOST:PORT"):
        parse_address(text)


def test_address_with_protocol():
    assert parse_address("grpc://[::1]:5050") == ("[::1]", 5050)


def test_nothing_answers(tiny_folder, tmp_path, capsys):
    address = f"localhost:{free_port()}"
    argv = command(tiny_folder, tmp_path / "run", "--data-service", address)
    line = error_of(capsys, train.main, argv)
    assert f"--data-service {address} does not answer" in line
    assert not (tmp_path / "run").exists()
    argv = ["worker", "--dispatcher", address]
    line = error_of(capsys, service.main, argv)
    assert f"--dispatcher {address} does not answer" in line


def test_port_that_is_taken(alone, capsys):
    port = alone.split(":")[1]
    line = error_of(capsys, service.main, ["dispatcher", "--port", port])
    assert f"cannot listen at --port {port}" in line


def test_images_that_need_pillow():
    with pytest.raises(UserError, match="JPEG and PNG alone, got a.webp"):
        check_service("localhost:1", ["b.jpg", "a.webp"])


def test_image_that_is_not_what_its_name_says(
    tiny_folder, tmp_path, alone, capsys
):
    shutil.copytree(tiny_folder, tmp_path / "data")
    path = tmp_path / "data/a/x/3.png"
    PIL.Image.open(path).save(path, "webp")
    argv = command(tmp_path / "data", tmp_path / "run")
    argv += ["--data-service", alone]
    line = error_of(capsys, train.main, argv)
    assert "--data-service decodes JPEG and PNG alone" in line
    assert "a/x/3.png" in line and not (tmp_path / "run").exists()


def test_images_in_this_process_memory(tiny_folder, tmp_path, capsys):
    argv = command(tiny_folder, tmp_path / "run", "--cache", "memory")
    argv += ["--data-service", "localhost:5050"]
    assert "use --cache disk" in error_of(capsys, train.main, argv)


# === The end ===


# The last one: the service that the others use has two workers now, and ends.
def test_two_workers_show_each_batch_once(tiny_folder, begun, start):
    examples = load(tiny_folder, "c").train
    process, address = begun
    add_worker(start, address)
    count = 5 * 8
    expected = {
        inputs["image"].tobytes()
        for inputs, _ in batches(stream(examples).dataset(), count + 40)
    }
    found = [
        inputs["image"].tobytes()
        for inputs, _ in batches(stream(examples, address).dataset(), count)
    ]
    assert len(set(found)) == count and set(found) <= expected
    process.signal(signal.SIGTERM)
    assert process.finish()[0] == 0  # it ends on request
