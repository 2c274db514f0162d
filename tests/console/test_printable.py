import ast

import pytest

from dmg_tf.console.bar import print_error
from dmg_tf.console.parser import OneLineParser, program
from dmg_tf.console.printable import one_line, printable, say
from dmg_tf.errors import UserError
from tests.conftest import ROOT

HOSTILE = "\x1b[2Jred\x1b]0;owned\x07\u202egpj\x9b"
SHOWN = r"\x1b[2Jred\x1b]0;owned\x07\u202egpj\x9b"


def test_a_terminal_is_shown_names_and_not_ordered_by_them(capsys):
    @program()
    def main(argv):
        raise UserError(f"cannot read {HOSTILE}\n")

    assert main([]) == 2
    assert capsys.readouterr().err == f"error: cannot read {SHOWN}\\n\n"
    say(f"größe {HOSTILE}\nnext")
    assert capsys.readouterr().out == f"größe {SHOWN}\nnext\n"
    print_error(HOSTILE)
    assert capsys.readouterr().err == f"{SHOWN}\n"
    with pytest.raises(SystemExit):
        OneLineParser(prog="x").parse_args([HOSTILE])
    assert SHOWN in capsys.readouterr().err


def test_text_that_can_be_shown_is_left():
    assert printable("größe 日本\nb") == "größe 日本\nb"
    assert one_line("a\nb") == r"a\nb"
    assert printable("\udcff") == r"\udcff"


def test_what_names_may_be_in_is_printed_in_one_place():
    for path in sorted((ROOT / "dmg_tf").rglob("*.py")):
        if "console" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                # JSON escapes by itself, and these know no names.
                known = ("json.dumps(", "markdown_page(", "_usage(", "__vers")
                text = ast.unparse(node.args[0])
                where = f"{path}:{node.lineno}"
                assert text.startswith((*known, "report_text(")), where
