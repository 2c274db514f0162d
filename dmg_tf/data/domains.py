"""Which domains a dataset has, and which of them a run learns from."""

from collections.abc import Sequence

from dmg_tf.data import detect_dataset
from dmg_tf.data.names import NO_TARGET, are_splits, check_names, nfc
from dmg_tf.errors import UserError, unknown_name
from dmg_tf.registry import DATASETS


def domain_names(dataset: str, root: str | None) -> tuple[str, ...]:
    """Returns the domains' names in alphabetical order; opens no image.

    Args:
        dataset: Name in `DATASETS`, or "auto".
        root: The folder of the data; None for the built-in dataset.

    Raises:
        UserError: If the folder is missing or holds no domains.
    """
    return DATASETS[detect_dataset(dataset, root)].domains(root)


def pick_domains(
    known: Sequence[str],
    target: str | None,
    sources: Sequence[str] | None,
    where: str,
) -> tuple[str, ...]:
    """Returns the source domains of a run, in order.

    Args:
        known: The dataset's domains.
        target: The domain that is held out; None for none.
        sources: The domains asked for, or None for all but the target.
        where: What the domains were read from, for error messages.

    Raises:
        UserError: If a name is unknown or can't be, the target is among the
            sources, a source is named twice, none is left, or all domains are
            called as splits are and no sources are named.
    """
    if sources is None:
        check_no_splits(known, where)
    held_out = () if target is None else (as_known(target, known),)
    if sources is not None:
        sources = [as_known(name, known) for name in sources]
    for name in (*held_out, *(sources or ())):
        if name not in known:
            raise unknown_name(f"domain in {where}", name, known)
    picked = tuple(sources or (name for name in known if name not in held_out))
    check_names("domain", (*picked, *held_out))
    if held_out and held_out[0] in picked:
        raise UserError(
            f"the target {held_out[0]!r} is among the sources "
            f"{', '.join(picked)}; leave it out, training must not see it"
        )
    if len(set(picked)) != len(picked):
        raise UserError(f"a source domain is given twice: {', '.join(picked)}")
    if not picked:
        raise UserError(
            f"{where} has the target {target!r} alone: there is no domain to "
            f"learn from; --target {NO_TARGET} learns from all there are"
        )
    return picked


def as_known(name: str, known: Sequence[str]) -> str:
    """Returns a domain's name as the dataset has it, in any Unicode form."""
    return next((k for k in known if nfc(k) == nfc(name)), name)


def check_no_splits(known: Sequence[str], where: str) -> None:
    """Raises UserError if all domains are called as splits are."""
    if are_splits(known):
        raise UserError(
            f"{where} has {', '.join(known)} where domains belong, which look "
            "like splits of one domain; expected DIR/<domain>/<class>/<image>; "
            "if they are domains, name them by --sources"
        )
