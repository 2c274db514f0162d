"""Imports go down, parts that must not meet do not, and nothing goes round.

Each rule is also shown to fail on a fault planted in a copy of the package.
"""

import collections
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.structure.house import (
    APART,
    FLOORS,
    JOINS,
    PACKAGE,
    arrows,
    circles,
    floor_of,
    modules,
    part_of,
)

# Importing these loads no TensorFlow: a program answers by them.
LIGHT = (
    "config",
    "runs",
    "report",
    "html",
    "commands",
    "studies.sweep",
    "studies.search.space",
    "export.request",
    "data.check",
    "data.datasets",
    "data.shapes",
    "console",
)
MAX_ENTRIES = {"methods": 60, "commands": 20}


def upward(graph):
    """Returns the imports that go up, or sideways to another part."""
    wrong = []
    for module, others in graph.items():
        here = part_of(module)
        for other in others:
            there = part_of(other)
            if PACKAGE in (here, there) or here == there:
                continue
            if floor_of(there) > floor_of(here):
                wrong.append(f"{module} imports {other}")
    return wrong


def meetings(graph):
    """Returns the parts that reach one they must not, and through what."""
    wrong = []
    for start, forbidden in APART:
        seen = {m: None for m in graph if part_of(m) == start}
        queue = collections.deque(seen)
        while queue:
            module = queue.popleft()
            for other in graph[module]:
                part = part_of(other)
                if other in seen or part in JOINS or part == PACKAGE:
                    continue
                seen[other] = module
                queue.append(other)
                if part == forbidden:
                    wrong.append(f"{start} reaches {other} by {module}")
    return wrong


def strangers(graph):
    """Returns the imports of one method by another."""
    wrong = []
    for module, others in graph.items():
        words = module.split(".")
        if words[1:2] != ["methods"] or len(words) < 4:
            continue
        for other in others:
            there = other.split(".")
            same_floor = there[1:2] == ["methods"] and len(there) > 3
            if same_floor and there[2] != words[2]:
                wrong.append(f"{module} imports {other}")
    return wrong


def test_every_part_has_its_floor():
    parts = {part_of(module) for module in modules()} - {PACKAGE}
    assert parts == set().union(*FLOORS)


def test_imports_go_down():
    assert upward(arrows()) == []


def test_these_stay_apart():
    assert meetings(arrows()) == []


def test_methods_do_not_know_each_other():
    assert strangers(arrows()) == []


def file_circles(graph):
    """Returns the circles of files; a folder's own file is no way into it."""
    folders = {m for m in graph if any(o.startswith(f"{m}.") for o in graph)}
    files = {
        module: {other for other in others if other not in folders}
        for module, others in graph.items()
        if module not in folders
    }
    return circles(files)


def test_no_files_in_a_circle():
    assert file_circles(arrows()) == []


def test_no_parts_in_a_circle():
    parts = collections.defaultdict(set)
    for module, others in arrows().items():
        for other in others:
            if PACKAGE not in (part_of(module), part_of(other)):
                parts[part_of(module)].add(part_of(other))
    for part, others in parts.items():
        others.discard(part)
    assert circles(parts) == []


@pytest.mark.parametrize(
    "file,line,check",
    [
        ("data/examples.py", "import dmg_tf.config", upward),
        ("html/tables.py", "from dmg_tf.report import text", upward),
        ("backbones/blocks.py", "import dmg_tf.data.examples", meetings),
        ("evaluation/agreement.py", "import dmg_tf.methods.base", meetings),
        (
            "methods/aggregate/model.py",
            "from dmg_tf.methods.dmg.model import DMG",
            strangers,
        ),
        ("errors.py", "import dmg_tf.files", upward),
        ("errors.py", "import dmg_tf.files", file_circles),
    ],
)
def test_a_planted_fault_is_seen(file, line, check, tmp_path):
    copy = tmp_path / PACKAGE
    shutil.copytree(
        ROOT / PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    assert check(arrows(copy)) == []
    path = copy / file
    path.write_text(f"{path.read_text('utf-8')}\n{line}\n", "utf-8")
    assert check(arrows(copy)) != []


def heavy(root):
    """Returns the light module whose import loads TensorFlow, or ""."""
    light = [
        module
        for module in modules(root)
        if part_of(module) != PACKAGE
        and not module.endswith("__main__")
        and (
            module.removeprefix(f"{PACKAGE}.").startswith(LIGHT)
            or module.endswith(".spec")
        )
    ]
    assert len(light) > 50
    code = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {str(root.parent)!r})\n"
        "import dmg_tf_command\n"
        f"for module in {light}:\n"
        "    importlib.import_module(module)\n"
        "    if 'tensorflow' in sys.modules or 'keras' in sys.modules:\n"
        "        sys.exit(module)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root.parent,
        timeout=240,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def prefixes(root):
    """Returns the folders of which three files share their first word."""
    wrong = []
    for folder in {path.parent for path in modules(root).values()}:
        words = collections.Counter(
            path.stem.split("_")[0]
            for path in folder.glob("*.py")
            if not path.stem.startswith("__")
        )
        if any(count > 2 for count in words.values()):
            wrong.append(str(folder))
    return wrong


def crowded(root):
    """Returns the folders that have too many entries."""
    wrong = []
    for folder in {path.parent for path in modules(root).values()}:
        names = [
            path.name
            for path in folder.iterdir()
            if not path.name.startswith("__") and path.name != "py.typed"
        ]
        at_most = MAX_ENTRIES.get(folder.name, 13)
        if folder.name == PACKAGE:
            at_most = 25  # 8 modules and 17 folders
        if len(names) > at_most:
            wrong.append(f"{folder}: {sorted(names)}")
    return wrong


def long_programs(root):
    """Returns the programs that do more than call what does the work."""
    programs = [
        *(root / "commands").glob("*.py"),
        *root.parent.glob("*.py"),
        *(root.parent / "tuning").glob("*.py"),
    ]
    assert len(programs) > 12
    return [
        str(path)
        for path in programs
        # The longest help text.
        if len(path.read_text("utf-8").splitlines())
        > (160 if path.name == "predict.py" else 125)
    ]


def test_light_parts_load_no_tensorflow():
    assert heavy(ROOT / PACKAGE) == ""


@pytest.mark.parametrize("check", [prefixes, crowded, long_programs])
def test_the_house_is_tidy(check):
    assert check(ROOT / PACKAGE) == []


@pytest.mark.parametrize(
    "check,files,line",
    [
        (heavy, ["html/tables.py"], "import tensorflow"),
        (prefixes, [f"export/onnx_{i}.py" for i in range(2)], ""),
        (crowded, [f"devices/{name}.py" for name in "abcdefghij"], ""),
        (long_programs, ["commands/report.py"], "x = 1\n" * 100),
    ],
)
def test_untidiness_is_seen(check, files, line, tmp_path):
    copy = tmp_path / PACKAGE
    shutil.copytree(
        ROOT / PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "dmg_tf_command.py", tmp_path)
    (tmp_path / "tensorflow.py").touch()  # which takes no time to load
    for name in files:
        path = copy / name
        before = path.read_text("utf-8") if path.exists() else ""
        path.write_text(f"{before}\n{line}\n", "utf-8")
    assert check(copy)
