"""Documents: their commands parse, their links and paths lead somewhere."""

import ast
import importlib
import re
import shlex

import pytest

from dmg_tf.commands.main import COMMANDS
from dmg_tf.errors import UserError
from dmg_tf.flags import config_from_args
from tests.conftest import ROOT

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("examples/*/README.md"),
        ROOT / "tests" / "golden" / "README.md",
    ]
)
# How a clone's scripts start a command; docs/using.md has the same table.
SCRIPTS = {
    "python train.py": "train",
    "python evaluate.py": "evaluate",
    "python tuning/leave_one_out.py": "sweep",
    "python tuning/search.py": "search",
    "python tuning/paper.py": "paper",
    "python -m dmg_tf.predict": "predict",
    "python -m dmg_tf.export": "export",
    "python -m dmg_tf.report": "report",
    "python -m dmg_tf.demo": "demo",
    "python -m dmg_tf.data.check": "check",
    "python -m dmg_tf.data.shapes": "data shapes",
    "python -m dmg_tf.data.service": "data service",
}
DATA = {"get": "get_data", "shapes": "shapes", "service": "data_service"}
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def read(page):
    return page.read_text("utf-8")


def blocks(page, *languages):
    """Returns the text of the code blocks in some languages."""
    return [
        text for name, text in _FENCE.findall(read(page)) if name in languages
    ]


def prose(page):
    """Returns a page without its code blocks."""
    return _FENCE.sub("", read(page))


def commands_in(text):
    """Returns the `dmg-tf` command lines in a script, as lists of words."""
    for script, command in SCRIPTS.items():
        text = text.replace(script, f"dmg-tf {command}")
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        before, called, rest = line.partition("dmg-tf ")
        if not called or before.lstrip().startswith("#"):
            continue
        # What follows is the shell's; a script in quotes may end here.
        rest = re.split(r" (?:\||>|&)|\"$", rest)[0]
        if rest.count("'") % 2:
            rest = rest.rstrip("'")
        found.append(shlex.split(rest, comments=True))
    return found


def documented():
    for page in PAGES:
        for text in blocks(page, "bash", "yaml"):
            for words in commands_in(text):
                yield pytest.param(words, id=f"{page.name}: {words}"[:90])


def parsed(words):
    """Parses a command line with the program's own parser."""
    command, *argv = words
    if command == "data":
        module = DATA[argv.pop(0)]
    else:
        module = COMMANDS[command][0]
    module = importlib.import_module(f"dmg_tf.commands.{module}")
    if command in ("train", "search"):
        args = module.make_parser(argv).parse_args(argv)
        config_from_args(args)
    elif command == "sweep":
        methods = module.methods_of(argv)
        module.make_parser(methods).parse_args(argv)
    elif command == "predict":
        module.make_parser().parse_intermixed_args(argv)
    else:
        module.make_parser().parse_args(argv)


@pytest.mark.parametrize("words", list(documented()))
def test_commands_parse(words):
    parsed(words)


def test_commands_are_found_where_scripts_hide_them():
    text = (
        "# dmg-tf is not called here\n"
        "X='a b' python train.py --target a \\\n  --epochs 2 > out.txt\n"
        "find . | dmg-tf predict RUN - | head   # a note\n"
        "bash -c '\n  exec dmg-tf train --target b'\n"
    )
    assert commands_in(text) == [
        ["train", "--target", "a", "--epochs", "2"],
        ["predict", "RUN", "-"],
        ["train", "--target", "b"],
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["train", "--target", "a", "--no-such-flag"],
        ["train", "--target", "a", "--backbone", "resnet19"],
        ["sweep", "--methods", "dmg:siou-wait=1"],
        ["export", "RUN_DIR"],
    ],
)
def test_what_is_no_command_does_not_parse(words):
    with pytest.raises((SystemExit, UserError)):
        parsed(words)


def test_every_command_is_in_the_readme():
    text = read(ROOT / "README.md")
    for command in COMMANDS:
        assert f"| `dmg-tf {command}" in text


def test_every_script_is_in_the_table_of_names():
    rows = re.findall(
        r"^\| `dmg-tf (.+?)` \| `(.+?)` \|$",
        read(ROOT / "docs" / "using.md"),
        re.MULTILINE,
    )
    assert {script: command for command, script in rows} == SCRIPTS


def anchors(page):
    """Returns the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        if anchor:
            assert anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_and_modules_are_there(page):
    text = read(page)
    if page.name == "CONTRIBUTING.md":  # it shows files that are to be written
        text = prose(page)
        text = re.sub(
            r"`dmg_tf/\S+/(mean_alignment|small|wide|flat)\b\S*`", "", text
        )
    folders = "benchmarks|dmg_tf|docs|examples|tests|tuning"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(rf"python -m ((?:{folders})[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (
            (path / "__main__.py").exists()
        ), module
    for script in re.findall(r"python ((?:\w+/)*\w+\.py)", text):
        if not script.startswith("rest_client"):
            assert (ROOT / script).exists(), script


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_targets_of_make_are_there(page):
    known = re.findall(r"^([\w-]+):", read(ROOT / "Makefile"), re.MULTILINE)
    lines = "\n".join(blocks(page, "bash"))
    named = re.findall(r"`make ([\w-]+)", prose(page))
    for target in [*named, *re.findall(r"^make ([\w-]+)", lines, re.MULTILINE)]:
        assert target in known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_is_python(page):
    for text in blocks(page, "python"):
        ast.parse(text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_its_language(page):
    for language, text in _FENCE.findall(read(page)):
        assert language, text


def test_the_readme_is_short():
    assert len(read(ROOT / "README.md").splitlines()) < 220


def test_the_index_has_all_documents():
    text = read(ROOT / "docs" / "README.md")
    for page in (ROOT / "docs").glob("*.md"):
        if page.name != "README.md":
            assert f"({page.name})" in text


def test_citation_and_licence_agree():
    assert "\nlicense: MIT\n" in read(ROOT / "CITATION.cff")
    assert read(ROOT / "LICENSE").startswith("MIT License")
