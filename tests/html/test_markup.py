import pytest

from dmg_tf.html.markup import Markup, join, tag, text


@pytest.mark.parametrize(
    "raw,written",
    [
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
        ("日本 Straße 🐘", "日本 Straße 🐘"),
        ("a\x00b\nc", "a\\x00b\\nc"),
        ("x\u202egnp.exe", "x\\u202egnp.exe"),  # would turn the line around
        ("\udcff", "\\udcff"),  # a byte of a name that is no text
        ("99\u00a0%", "99\u00a0%"),
        (7, "7"),
    ],
)
def test_text_is_escaped(raw, written):
    assert text(raw) == written
    assert text(text(raw)) == written  # once
    assert tag("p", raw) == f"<p>{written}</p>"
    assert tag("p", title=raw) == f'<p title="{written}"></p>'


def test_parts():
    inner = tag("b", "<")
    assert isinstance(inner, Markup)
    parts = join("a", None, [inner, ["&"]], 3)
    assert parts == "a<b>&lt;</b>&amp;3"


def test_attributes():
    found = tag("img", class_="x", aria_label="y", hidden=True, alt=None)
    assert found == '<img class="x" aria-label="y" hidden>'
