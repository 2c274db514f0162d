import subprocess
import sys

import pytest

import dmg_tf.backbones
import dmg_tf.data
import dmg_tf.methods  # noqa: F401  (these imports fill the registries)
from dmg_tf.errors import UserError
from dmg_tf.registry import BACKBONES, DATASETS, METHODS, Registry
from tests.conftest import ROOT


def test_names_are_imported_when_asked_for():
    registry = Registry("thing")
    registry.register("join", "os.path:join")
    registry.register("broken", "no_such_module:x")
    assert registry.names() == ("join", "broken")
    assert registry["join"]("a", "b") == "a/b"
    with pytest.raises(ModuleNotFoundError):
        registry["broken"]


def test_duplicates_are_refused():
    registry = Registry("thing")
    registry.register("x", "os:sep")
    with pytest.raises(
        ValueError, match="'x' is registered already, at os:sep"
    ):
        registry.register("x", "os:sep")


def test_unknown_names_give_the_known_and_the_nearest():
    registry = Registry("thing")
    registry.register("alpha", "os:sep")
    with pytest.raises(
        UserError, match="unknown thing 'alhpa'; known: alpha. Did you mean"
    ):
        registry["alhpa"]


@pytest.mark.parametrize("registry", [METHODS, BACKBONES, DATASETS])
def test_every_registered_name_can_be_had(registry):
    assert registry.names()
    for name in registry.names():
        assert registry[name] is not None


@pytest.mark.parametrize("registry", [BACKBONES, DATASETS])
def test_every_spec_has_a_title_of_its_own(registry):
    titles = [registry[name].title for name in registry.names()]
    assert all(titles) and len(set(titles)) == len(titles)


def test_specs_load_no_tensorflow():
    code = (
        "import sys, dmg_tf_command\n"
        "import dmg_tf.backbones, dmg_tf.data\n"
        "from dmg_tf.registry import BACKBONES, DATASETS\n"
        "for registry in BACKBONES, DATASETS:\n"
        "    [registry[name] for name in registry.names()]\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60)
    assert done.returncode == 0


def test_a_name_can_be_known_for_a_while():
    registry = Registry("thing")
    registry.register("x", "os:sep")
    with registry.with_name("y", "os:curdir"):
        assert registry.names() == ("x", "y") and registry["y"] == "."
        with pytest.raises(ValueError, match="registered already"):
            registry.register("y", "os:sep")
    assert registry.names() == ("x",)
    with pytest.raises(ValueError, match="registered already"):
        with registry.with_name("x", "os:curdir"):
            pass
    assert registry["x"] == "/"


# === Names that packages add ===


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Installs a package with these entry points."""

    def install(entry_points):
        folder = tmp_path / "some_package-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Name: some-package\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(entry_points)
        (tmp_path / "some_module.py").write_text("THING = 'a thing'\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("some_module", None)


def test_packages_add_names(package):
    package(
        "[console_scripts]\nx = some_module:main\n"
        "[dmg_tf.things]\nadded = some_module:THING\n"
    )
    registry = Registry("thing", "dmg_tf.things")
    registry.register("own", "os:sep")
    assert registry["own"] == "/"
    assert registry["added"] == "a thing"
    assert registry.names() == ("own", "added")
    assert Registry("other", "dmg_tf.others").names() == ()
    with pytest.raises(UserError, match="unknown thing 'add'; known: own, add"):
        registry["add"]


@pytest.mark.parametrize(
    "line, reason",
    [
        ("own = some_module:THING", "'own' .*, which is os:sep already"),
        ("added = some_module", "'added' .*expected package.module:ATTRIBUTE"),
    ],
)
def test_names_that_cannot_be_added_are_told_each_time(package, line, reason):
    package(f"[dmg_tf.things]\n{line}\n")
    registry = Registry("thing", "dmg_tf.things")
    registry.register("own", "os:sep")
    for _ in range(2):
        with pytest.raises(UserError, match=f"package some-package.*{reason}"):
            registry.names()


@pytest.mark.parametrize(
    "path, reason",
    [
        ("no_such_module:THING", "ModuleNotFoundError"),
        ("some_module:NOTHING", "AttributeError"),
    ],
)
def test_packages_that_do_not_load_are_named(package, path, reason):
    package(f"[dmg_tf.things]\nadded = {path}\n")
    registry = Registry("thing", "dmg_tf.things")
    assert registry.names() == ("added",)
    with pytest.raises(
        UserError, match=f"thing 'added' of the package some-package.*{reason}"
    ):
        registry["added"]
