"""Which part may import which; data and methods meet in training alone."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "dmg_tf"

# part: what it must not import
FORBIDDEN = {
    "errors.py": ("dmg_tf", "tensorflow", "keras"),
    "registry.py": ("tensorflow", "keras"),
    "quiet.py": ("dmg_tf", "keras"),
    "config.py": ("tensorflow", "keras", "dmg_tf.training", "dmg_tf.layers"),
    "losses.py": ("dmg_tf", "keras"),
    "data": ("dmg_tf.methods", "dmg_tf.backbones", "dmg_tf.training", "keras"),
    "layers": ("dmg_tf.data", "dmg_tf.methods", "dmg_tf.training"),
    "backbones": ("dmg_tf.data", "dmg_tf.methods", "dmg_tf.training"),
    "methods": ("dmg_tf.data", "dmg_tf.training"),
    "evaluation.py": ("dmg_tf.training",),
    "report.py": ("dmg_tf.training",),
    "predictions.py": ("tensorflow", "keras", "dmg_tf.training"),
    # It reads what lies in a run folder.
    "html": ("tensorflow", "keras", "dmg_tf.data", "dmg_tf.methods"),
}
# Parts that a command line needs before TensorFlow is loaded.
LIGHT = (
    "dmg_tf.config",
    "dmg_tf.registry",
    "dmg_tf.data.check",
    "dmg_tf.data.datasets.folder",
    "dmg_tf.data.datasets.domainnet",
    "dmg_tf.data.datasets.pacs",
    "dmg_tf.data.shapes",
    "dmg_tf.console.quiet",
    "dmg_tf.export",
    "dmg_tf.files",
    "dmg_tf.runs.folder",
    "tuning.leave_one_out",
    "tuning.paper",
    "dmg_tf.report",
    "dmg_tf.report.run_page",
    "tuning.search",
)


def imports_of(path):
    """Yields the modules that a file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("part", FORBIDDEN)
def test_import_rules(part):
    place = PACKAGE / part
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    assert files
    for path in files:
        for module in imports_of(path):
            for name in FORBIDDEN[part]:
                if module == "dmg_tf.errors":
                    continue
                inside = module == name or module.startswith(name + ".")
                # TensorFlow is loaded by a function of `quiet`, not by it.
                assert not inside, f"{path.name} imports {module}"


def test_only_training_joins_data_and_methods():
    for path in PACKAGE.rglob("*.py"):
        modules = set(imports_of(path))
        data = any(m.startswith("dmg_tf.data") for m in modules)
        methods = any(m.startswith("dmg_tf.methods") for m in modules)
        if data and methods:
            # config imports both packages for their names alone
            assert path.parent.name == "training" or path.name == "config.py"


def test_light_parts_do_not_load_tensorflow():
    code = (
        "import sys, dmg_tf_command\n"
        f"import {', '.join(LIGHT)}\n"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60)
    assert done.returncode == 0


def test_scripts_are_short():
    for name in (
        "train.py",
        "evaluate.py",
        "tuning/leave_one_out.py",
        "tuning/paper.py",
        "tuning/search.py",
    ):
        path = ROOT / name
        assert len(path.read_text("utf-8").splitlines()) < 120
