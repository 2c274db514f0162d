"""What is installed: its files, what it requires, its public names."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import dmg_tf
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def name_of(requirement):
    return re.match(r"[\w-]+", requirement).group()


# === Files ===


def test_every_module_is_in_a_package():
    folders = {path.parent for path in (ROOT / "dmg_tf").rglob("*.py")}
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_other_files_are_package_data():
    package = ROOT / "dmg_tf"
    named = PROJECT["tool"]["setuptools"]["package-data"]["dmg_tf"]
    found = {path for pattern in named for path in package.glob(pattern)}
    others = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert found == others and package / "py.typed" in found


def test_the_script_starts_with_the_module_that_says_so():
    # Else `dmg_tf` would load TensorFlow before the arguments are checked.
    assert PROJECT["project"]["scripts"] == {"dmg-tf": "dmg_tf_command:main"}
    assert PROJECT["tool"]["setuptools"]["py-modules"] == ["dmg_tf_command"]


def test_the_version_is_a_literal():
    # It is read without importing the package, which would need TensorFlow.
    tree = ast.parse((ROOT / "dmg_tf" / "__init__.py").read_text("utf-8"))
    (value,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id == "__version__"
    ]
    assert ast.literal_eval(value) == dmg_tf.__version__


# === Requirements ===


def test_the_extras_that_errors_name_exist():
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(extras) == {
        *("search", "onnx", "lite0", "keras-hub", "parquet"),
        *("randaugment-tfa", "dev"),
    }
    named = set()
    for path in (ROOT / "dmg_tf").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "missing_extra"
                and isinstance(node.args[1], ast.Constant)
            ):
                named.add(node.args[1].value)
    from dmg_tf.export.request import FORMATS

    named |= {f.extra for f in FORMATS.values() if f.needs}
    assert {"search", "onnx", "keras-hub", "parquet"} <= named <= set(extras)


def test_requirements_refer_to_the_package():
    extras = PROJECT["project"]["optional-dependencies"]

    def asked(file):
        lines = (ROOT / file).read_text("utf-8").splitlines()
        (line,) = [line for line in lines if not line.startswith("#")]
        return re.fullmatch(r"-e \.\[([\w,-]+)\]", line).group(1).split(",")

    assert asked("requirements-dev.txt") == ["dev"]
    everything = [*PROJECT["project"]["dependencies"]]
    for extra in asked("requirements.txt"):
        everything += extras[extra]
    assert {
        *("tensorflow", "keras", "keras-tuner", "tfa-nightly"),
        *("numpy", "pillow"),
    } <= set(map(name_of, everything))
    # Developers have all extras.
    (own,) = [line for line in extras["dev"] if name_of(line) == "dmg-tf"]
    assert set(re.search(r"\[(.*)\]", own).group(1).split(",")) == {
        name for name in extras if name != "dev"
    }


@pytest.mark.parametrize(
    "version, works", [("3.10", 0), ("3.13", 1), ("3.14", 0)]
)
def test_make_says_which_python_is_needed(tmp_path, version, works):
    python = tmp_path / "python"
    major, minor = version.split(".")
    python.write_text(
        "#!/bin/sh\n"
        # What is asked for besides the version is not done.
        f'[ "$1" = -c ] || exit 9\n'
        f"exec {sys.executable} -c "
        f'"import sys; sys.version_info = ({major}, {minor}, 0); $2"\n'
    )
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and not (tmp_path / "venv").exists()
    told = (
        f"error: Python 3.11, 3.12 or 3.13 is needed, {python} is {version}; "
    )
    assert (told in done.stderr) == (not works)
    assert ("-m venv" in done.stdout) == bool(works)
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.14"


# === Public names ===


def test_public_names():
    names = [n for n in dir(dmg_tf) if not n.startswith("__")]
    assert names == sorted(dmg_tf.__all__, key=str)
    for name in names:
        assert getattr(dmg_tf, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'built_model'"):
        dmg_tf.built_model  # noqa: B018


def test_editors_see_the_lazy_names():
    """The imports for type checkers are those that are made when asked."""
    tree = ast.parse(pathlib.Path(dmg_tf.__file__).read_text("utf-8"))
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If)
        and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    seen = {
        alias.name: node.module for node in block.body for alias in node.names
    }
    assert seen == dmg_tf._PLACES and set(seen) == set(dmg_tf.__all__)
