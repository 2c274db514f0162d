"""The list of methods, and the pages that hold it."""

import re

import pytest

from dmg_tf.commands import methods
from dmg_tf.registry import METHODS
from dmg_tf.settings import flag_of, names_of
from tests.commands.programs import answer_of
from tests.conftest import ROOT


def marked_part(path):
    """Returns what a page has between its two comments on methods."""
    begin, end = "<!-- methods: begin -->\n", "\n<!-- methods: end -->"
    text = path.read_text("utf-8")
    assert text.count(begin) == 1 and text.count(end) == 1
    return text.partition(begin)[2].partition(end)[0].strip()


def printed(capsys, *argv):
    assert methods.main(list(argv)) == 0
    return capsys.readouterr().out


def test_the_page_is_what_the_command_prints(capsys):
    page = printed(capsys, "--markdown")
    assert marked_part(ROOT / "docs" / "methods.md") == page.strip()
    assert page.startswith(methods.markdown_table())


def test_the_list_has_every_method(capsys):
    text = printed(capsys)
    for name in METHODS.names():
        assert re.search(rf"^ +{name} +{METHODS[name].title} ", text, re.M)


@pytest.mark.parametrize("name", METHODS.names())
def test_a_method_with_its_options(capsys, name):
    spec = METHODS[name]
    flags = [flag_of(option) for option in names_of(spec.options)]
    text = printed(capsys, name)
    assert text.startswith(f"{spec.title}: {spec.summary}\n")
    assert re.findall(r"^--\S+$", text, re.M) == flags
    assert ("no options" in text) == (not flags)
    table = printed(capsys, name, "--markdown")
    assert re.findall(r"^\| `(--\S+)`", table, re.M) == flags


def test_what_is_said_of_an_option(capsys):
    text = printed(capsys, "dmg").partition("--siou-weight\n")[2]
    assert text.startswith(
        "  λ_O, weight of the overlap penalty\n"
        "  default: 0.1\n"
        "  range: ≥ 0\n"
        "  in a search: --siou-weights 0 1e-05 0.0001 0.001 0.01 0.1 1\n"
    )


def test_no_such_method():
    code, out, error = answer_of("-m", "dmg_tf", "methods", "dgm", within=3)
    assert (code, out) == (2, "")
    assert error.count("\n") == 1 and "Did you mean 'dmg'?" in error
