"""A name is written in its own folder, and nowhere else.

Names of methods, their options and prediction rules, datasets and backbones:
what has one more of them changes one folder and adds one line.
"""

import ast
import pathlib

import pytest

import dmg_tf.backbones
import dmg_tf.data
import dmg_tf.methods  # noqa: F401  (these imports fill the registries)
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES, DATASETS, METHODS
from dmg_tf.settings import names_of
from tests.conftest import ROOT

PACKAGE = ROOT / "dmg_tf"
# Words that stand for something else too.
COMMON = {"folder", "shapes", "mixup"}
EXEMPT = {
    # The paper's own numbers are of named methods and domains.
    "studies/paper/published.py": None,
    # What version 0.1 wrote: rules of older results, sites of older models.
    "rules.py": None,
    "methods/network.py": {"mask_sites"},
    # A plain network has one rule.
    "methods/base.py": {"pred_ens"},
    # Augmentations are called after the paper's datasets.
    "data/images/augment.py": {"pacs", "domainnet"},
    "data/datasets/spec.py": {"pacs"},
    # The lines that register them.
    "methods/__init__.py": None,
    "data/__init__.py": None,
    "backbones/__init__.py": None,
    # The defaults of --method and --backbone.
    "config/run.py": {"dmg", "resnet18"},
}


@pytest.fixture(scope="module")
def names(with_stub):
    """{name: folder or file it belongs to, below the package}."""
    found = {}
    for method in METHODS.names():
        spec = METHODS[method]
        home = folder_of(spec.model)
        found[method] = {home}
        for option in names_of(spec.options):
            found.setdefault(option, set()).add(home)
        model = build_model(method, "stub", 2, ("a", "b"), image_size=32)
        for rule in model.rules():
            name = rule.name if rule.domain is None else f"{rule.part}/"
            found.setdefault(name, set()).add(home)
    for registry in (DATASETS, BACKBONES):
        for name in registry.names():
            found[name] = {folder_of(registry._paths[name])}
    return {name: home for name, home in found.items() if name not in COMMON}


def folder_of(place: str) -> str:
    """Returns the folder or file of "dmg_tf.methods.dmg.model:DMG"."""
    module = place.partition(":")[0].removeprefix("dmg_tf.")
    path = module.replace(".", "/")
    folder, _, file = path.rpartition("/")
    return f"{path}.py" if file not in ("spec", "model") else f"{folder}/"


def strings_of(path: pathlib.Path):
    """Yields (line, text) of the strings of a file that are no docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(
            node,
            (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef),
        )
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docs:
                yield node.lineno, node.value


def stray_names(package: pathlib.Path, names) -> list[str]:
    """Returns the places that name what is not theirs."""
    wrong = []
    for path in sorted(package.rglob("*.py")):
        here = path.relative_to(package).as_posix()
        allowed = EXEMPT.get(here, set())
        if allowed is None:
            continue
        for line, text in strings_of(path):
            homes = names.get(text)
            if homes is None or text in allowed:
                continue
            if not any(here.startswith(home) for home in homes):
                wrong.append(f"{here}:{line}: {text!r}")
    return wrong


def test_names_are_written_once(names):
    assert stray_names(PACKAGE, names) == []


def test_the_names_are_those_one_would_look_for(names):
    assert {"dmg", "siou_weight", "pred_ens", "mask/", "head/"} <= set(names)
    assert {"pacs", "domainnet", "alexnet", "efficientnet_lite0"} <= set(names)


@pytest.mark.parametrize(
    "file,line",
    [
        ("training/loop.py", 'RULE = "mask_ens"'),
        ("report/text.py", 'def f(x):\n    return x.startswith("mask/")'),
        ("studies/runs.py", 'x = {"siou_weight": 1}'),
        ("export/request.py", 'if "pacs" == 1: pass'),
        ("methods/aggregate/spec.py", 'OTHER = "metareg"'),
    ],
)
def test_a_planted_name_is_seen(file, line, names, tmp_path):
    path = tmp_path / file  # the package has no other there
    path.parent.mkdir(parents=True)
    text = (PACKAGE / file).read_text("utf-8")
    path.write_text(text, "utf-8")
    before = stray_names(tmp_path, names)
    path.write_text(f"{text}\n{line}\n", "utf-8")
    assert len(stray_names(tmp_path, names)) == len(before) + 1
