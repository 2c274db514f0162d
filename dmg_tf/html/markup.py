"""HTML and SVG put together from parts; all text is escaped."""

import html
from collections.abc import Iterable

# Elements without an end tag.
_VOID = frozenset({"img", "meta", "link"})
# Joiners are letters' business in some scripts; other unprintable characters
# could reorder a line or hide in it.
_KEPT = frozenset("\u200c\u200d\u00a0")


class Markup(str):
    """Text that is HTML already; everything else is escaped."""

    __slots__ = ()


def text(value: object) -> Markup:
    """Escapes a value. Names come from folders and can hold anything.

    What can't be shown, as control characters and bytes that are no text,
    is written as an escape.
    """
    if isinstance(value, Markup):
        return value
    shown = "".join(
        char
        if char.isprintable() or char in _KEPT
        else char.encode("unicode_escape").decode("ascii")
        for char in str(value)
    )
    return Markup(html.escape(shown))


def join(*parts) -> Markup:
    """Puts parts one after the other; None is left out, lists are opened."""
    texts = []
    for part in parts:
        if part is None:
            continue
        if isinstance(part, Iterable) and not isinstance(part, str):
            texts.append(join(*part))
        else:
            texts.append(text(part))
    return Markup("".join(texts))


def tag(name: str, /, *children, **attributes) -> Markup:
    """Returns an element.

    Args:
        name: The element's name.
        *children: As for `join`.
        **attributes: `class_` is class, `aria_label` is aria-label. None and
            False are left out, True gives the name alone.
    """
    written = []
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            written.append(f" {key}")
        elif value is not None and value is not False:
            written.append(f' {key}="{text(value)}"')
    start = f"<{name}{''.join(written)}>"
    if name in _VOID:
        return Markup(start)
    return Markup(f"{start}{join(*children)}</{name}>")
