"""A page and the panels on it."""

import pathlib
import re
from collections.abc import Iterable

from dmg_tf.html.markup import Markup, join, tag

# A browser that keeps to it asks nobody for anything, whatever a name holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, *body) -> str:
    """Returns a whole HTML document with its style inside.

    Args:
        title: Of the window.
        *body: What the page shows; see `markup.join`.
    """
    style = pathlib.Path(__file__).with_name("style.css").read_text("utf-8")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag(
            "meta",
            name="viewport",
            content="width=device-width, initial-scale=1",
        ),
        tag("meta", name="color-scheme", content="light dark"),
        # Else a browser would look for one beside the file.
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    document = tag("html", head, tag("body", *body), lang="en")
    return f"<!doctype html>\n{document}\n"


class Panel(Markup):
    """A titled box that contents can lead to.

    Attributes:
        title: Its heading.
        anchor: Its id on the page.
    """

    title: str
    anchor: str


def panel(title: str, *body, note=None, wide: bool = False) -> Panel:
    """Returns a titled box.

    Args:
        title: Its heading; its words are the anchor.
        *body: What is in it; see `markup.join`.
        note: A quiet line below.
        wide: Whether it takes the whole width of the page.
    """
    anchor = "-".join(re.findall(r"\w+", title.lower())) or "panel"
    made = Panel(
        tag(
            "section",
            tag("h2", title),
            *body,
            quiet(note) if note else None,
            id=anchor,
            aria_label=title,
            class_="panel wide" if wide else "panel",
        )
    )
    made.title, made.anchor = title, anchor
    return made


def contents(panels: Iterable[Panel | None]) -> Markup:
    """Returns links to panels, in their order; None is left out."""
    return tag(
        "nav",
        tag(
            "ul",
            [
                tag("li", tag("a", each.title, href=f"#{each.anchor}"))
                for each in panels
                if each is not None
            ],
            class_="contents",
        ),
        aria_label="Contents",
    )


def quiet(*words) -> Markup:
    """Returns a line of explanation."""
    return tag("p", *words, class_="quiet")


def code(words: str) -> Markup:
    """Returns what is typed as it stands."""
    return tag("code", words)


def tiles(*figures) -> Markup:
    """Returns a row of key figures.

    Args:
        *figures: (label, value, what it is of), or None to leave one out.
    """
    return tag(
        "div",
        [
            tag(
                "div",
                tag("div", label, class_="label"),
                tag("div", value, class_="value"),
                tag("div", of, class_="of"),
                class_="tile",
            )
            for label, value, of in filter(None, figures)
        ],
        class_="tiles",
    )


def facts(values: dict) -> Markup:
    """Returns a table of names and values; None and "" are left out."""
    return tag(
        "dl",
        [
            join(tag("dt", name), tag("dd", value))
            for name, value in values.items()
            if value is not None and value != ""
        ],
    )
