"""Names of domains and classes: one spelling, and which ones can't be."""

import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from dmg_tf.errors import UserError

# What results call the mean over domains, beside the domains themselves.
OVERALL = "overall"
# What --target is where all domains are learned from.
NO_TARGET = "none"
# Control characters, line and paragraph separators, bytes that are no text.
_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def nfc(name: str) -> str:
    """Returns a name in the Unicode form that names are compared in.

    macOS and its archives write an accent as a character of its own (NFD),
    others write one character for both (NFC). Paths stay as they are on disk.
    """
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def check_names(kind: str, names: Iterable[str]) -> None:
    """Checks that names can be keys of results, columns and paths.

    Args:
        kind: "domain" or "class".
        names: The names.

    Raises:
        UserError: If one can't, with the reason.
    """
    for name in names:
        wrong = _why_not(kind, name)
        if wrong:
            shown = name.encode("unicode_escape", "backslashreplace").decode()
            raise UserError(
                f"the {kind} '{shown}' cannot be called so: {wrong}; rename it"
            )


def _why_not(kind: str, name: str) -> str:
    if not name or name in (".", ".."):
        return "that is no name of a folder"
    if any(unicodedata.category(letter) in _UNPRINTABLE for letter in name):
        return (
            "it has control characters, line breaks, or bytes that are no UTF-8"
        )
    if kind != "domain":
        return ""
    if name.casefold() == OVERALL:
        return "results call the mean over domains so"
    if name.casefold() == NO_TARGET:
        return f"--target {NO_TARGET} holds out no domain"
    if "|" in name or "/" in name:
        return "results write pairs and rules of domains with '|' and '/'"
    return ""


def twins(names: Iterable[str]) -> list[list[str]]:
    """Returns the sets of names that differ in upper and lower case alone."""
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(nfc(name.casefold()), []).append(name)
    return [group for group in alike.values() if len(group) > 1]


def twin_note(kind: str, names: Iterable[str]) -> tuple[str, ...]:
    """Returns a note on names that some systems hold for one, if there are.

    Args:
        kind: "domains" or "classes".
        names: The names.
    """
    found = twins(names)
    if not found:
        return ()
    texts = (" and ".join(map(repr, group)) for group in found[:3])
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return (
        f"the {kind} {', '.join(texts)}{more} differ in upper case alone; "
        "macOS and Windows hold such folders for one",
    )


def double_of(name: str, others: Iterable[str]) -> str:
    """Returns one of other names that is it by another spelling, or ""."""
    short = plain(name)
    same = (o for o in others if o != name and short and plain(o) == short)
    return next(same, "")


def plain(name: str) -> str:
    """Returns a name's letters and digits, in small letters."""
    return "".join(filter(str.isalnum, nfc(name.casefold())))


def in_words(names: Sequence[str]) -> str:
    """Returns one or more names as a sentence has them: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def check_spelling(
    classes: Mapping[str, Collection[str]], where: Callable[[str], str]
) -> None:
    """Checks that no domain spells a class of another one differently.

    Args:
        classes: {domain: its classes}.
        where: Returns where a domain's images are, for errors.

    Raises:
        UserError: With both spellings.
    """
    names = sorted({name for own in classes.values() for name in own})
    for domain, own in classes.items():
        for name in names:
            double = "" if name in own else double_of(name, own)
            if double:
                raise UserError(
                    f"the domain {domain!r} has no images of class {name!r}, "
                    f"but it has {double!r} (in {where(domain)}): call one "
                    "class the same in every domain"
                )


# Names of splits, which lie where domains or classes are expected.
_SPLITS = frozenset(
    "train training val valid validation test testing dev eval full crossval "
    "trainval train_val all".split()
)


def are_splits(names: Sequence[str]) -> bool:
    """Returns whether all names are those of splits, and there are some."""
    return bool(names) and all(name.casefold() in _SPLITS for name in names)
