import csv
import io

import pytest

from dmg_tf.runs.cells import csv_writer, inert, original


@pytest.mark.parametrize(
    "cell, written",
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("-a.png", "'-a.png"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("'=1", "''=1"),
        ("it's", "it's"),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        ("-1.5e-3", "-1.5e-3"),
        ("+.5", "+.5"),
        ("-inf", "-inf"),
        ("", ""),
    ],
)
def test_formulas_become_text_and_come_back(cell, written):
    assert inert([cell]) == [written]
    assert original([written]) == [cell]


def test_numbers_are_left():
    assert inert([-1, -0.5, None]) == [-1, -0.5, None]


def test_line_ends_stay_in_their_cells():
    rows = [["a\rb", "c"], ["a\nb", "c\r\n"], ["\r", 'a"b'], ["a,b", ""]]
    file = io.StringIO(newline="")
    csv_writer(file).writerows(rows)
    text = file.getvalue()
    assert text.startswith('"a\rb",c\n"a\nb",')
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows
