"""Which domains a dataset has, and which of them a run learns from."""

from collections.abc import Sequence

from dmg_tf.data import detect_dataset
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
    known: Sequence[str], target: str, sources: Sequence[str] | None, where: str
) -> tuple[str, ...]:
    """Returns the source domains of a run, in order.

    Args:
        known: The dataset's domains.
        target: The domain that is held out.
        sources: The domains asked for, or None for all but the target.
        where: What the domains were read from, for error messages.

    Raises:
        UserError: If a name is unknown, the target is among the sources, a
            source is named twice, or fewer than two sources are left.
    """
    for name in (target, *(sources or ())):
        if name not in known:
            raise unknown_name(f"domain in {where}", name, known)
    picked = tuple(sources or (name for name in known if name != target))
    if target in picked:
        raise UserError(
            f"the target {target!r} is among the sources {', '.join(picked)}; "
            "leave it out, training must not see it"
        )
    if len(set(picked)) != len(picked):
        raise UserError(f"a source domain is given twice: {', '.join(picked)}")
    if len(picked) < 2:
        raise UserError(
            f"DMG needs at least two source domains besides the target "
            f"{target!r}, got {', '.join(picked) or 'none'} in {where}"
        )
    return picked
