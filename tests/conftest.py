"""Shared set-up: seeds, two logical devices, small folders of images."""

import collections
import gc
import os
import pathlib
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Where a data service ran, gRPC would look after its threads in each process
# that a later test starts, and at times abort it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import numpy as np
import PIL.Image
import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACS = ROOT.parent / "shared" / "pacs"
# Where graphs are what is tested, or must round as in another process.
OPTIMIZED = ("golden", "devices", "export", "examples", "test_benchmarks")


def pytest_configure(config):
    """Splits the CPU in two, which must happen before TensorFlow starts."""
    shared_out = config.getoption("dist", "no") != "no"
    if shared_out and not hasattr(config, "workerinput"):
        return  # the tests run in other processes
    # Before TensorFlow, as in the package's programs: it turns oneDNN on.
    import dmg_tf  # noqa: F401

    # isort: split
    import tensorflow as tf

    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        device, [tf.config.LogicalDeviceConfiguration()] * 2
    )


def pytest_collection_modifyitems(items):
    """Puts long files first; skips tests of real images if there are none.

    A long file that comes last is waited for by one process of two.
    """
    lengths = collections.Counter()
    for item in items:
        lengths[item.path] += 10 if "slow" in item.keywords else 1
    items.sort(key=lambda item: -lengths[item.path])
    if PACS.is_dir():
        return
    skip = pytest.mark.skip(reason=f"there is no PACS at {PACS}")
    for item in items:
        if "data" in item.keywords:
            item.add_marker(skip)


def pytest_collection_finish(session):
    """Lets the garbage collector look at what tests make alone."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def seeded():
    """Makes every test draw the same numbers, whatever ran before."""
    import keras

    keras.utils.set_random_seed(1234)


@pytest.fixture(autouse=True, scope="module")
def forgotten():
    """Gives back the memory of a module's models, 13 GB in all otherwise."""
    # Devices are split before anything of the package starts TensorFlow.
    from dmg_tf.studies.search.memory import forgotten_after

    with forgotten_after():
        yield


@pytest.fixture(autouse=True, scope="module")
def plain_graphs(request):
    """Leaves graphs as they are traced, but in `OPTIMIZED`.

    TensorFlow rewrites them to compute faster, which takes longer than the few
    steps of a test.
    """
    import tensorflow as tf

    place = request.path.relative_to(ROOT / "tests").as_posix()
    plain = not place.startswith(OPTIMIZED)
    set_options = tf.config.optimizer.set_experimental_options
    set_options({"disable_meta_optimizer": plain})


@pytest.fixture(scope="session")
def pacs():
    """The real benchmark's folder."""
    return PACS


def write_images(root, domains, classes, count, size=40, seed=0):
    """Writes DIR/<domain>/<class>/<i>.png; a class is a colour."""
    rng = np.random.default_rng(seed)
    for domain in domains:
        for index, name in enumerate(classes):
            folder = pathlib.Path(root) / domain / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 90, (size, size + 8, 3), np.uint8)
                image[..., index % 3] += 120
                PIL.Image.fromarray(image).save(folder / f"{i}.png")
    return pathlib.Path(root)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """Three domains, three classes, 12 images each; not to be changed."""
    root = tmp_path_factory.mktemp("tiny") / "data"
    return write_images(root, ("a", "b", "c"), ("x", "y", "z"), 12)


@pytest.fixture(scope="module")
def with_stub():
    """Knows the backbone "stub", which takes no time to trace."""
    # Devices are split before anything of the package starts TensorFlow.
    from dmg_tf.registry import BACKBONES

    with BACKBONES.with_name("stub", "tests.stubs:STUB_SPEC"):
        yield


@pytest.fixture
def stub_installed(tmp_path, monkeypatch):
    """Lets other processes know the stub, as that of an installed package."""
    from tests import stubs, toys

    package = tmp_path / "site"
    toys.write_package(package, {"backbones": ("stub", stubs.STUB)})
    monkeypatch.setenv("PYTHONPATH", f"{package}:{ROOT}")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium (Debian: `apt-get install chromium`), or a skip.

    The `playwright` package drives it and brings none along.
    """
    playwright = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as api:
        # Chromium's sandbox refuses to run as root, which containers do.
        browser = api.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"], timeout=30_000
        )
        yield browser
        browser.close()
