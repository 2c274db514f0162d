"""How far the domains' own predictions agree, in plain words."""

from collections.abc import Mapping, Sequence

import numpy as np

from dmg_tf.data.names import in_words
from dmg_tf.evaluation.agreement import agreement
from dmg_tf.runs.predictions import OUT_OF_DOMAIN

# Domains are taken to weigh the classes alike where their probabilities have so
# much in common, and to be of one mind where they name one class too.
CLOSE = 0.9
# A rate of fewer pictures says nothing.
FEW = 10


def describe_agreement(
    probs: np.ndarray,
    class_names: Sequence[str],
    domains: Sequence[str],
    part: str,
    votes: Mapping[str, Mapping] | None = None,
    targets: Sequence[str] = (),
) -> dict:
    """Says how far the predictions of the domains agree.

    Args:
        probs: float [D, C], D >= 2. Probabilities by domain.
        class_names: The C classes.
        domains: The D source domains.
        part: What a domain has of its own, e.g. "mask" or "head".
        votes: How often this very model was right where they agreed, and where
            not, as `results.json` has it; None or {} where it is not known.
        targets: The unseen domains of the votes out of domain.

    Returns:
        "level" ("agree", "waver", "unsure" or "disagree"), "title", "score"
        (see `agreement`), and "text", some sentences.
    """
    score = float(agreement(probs[np.newaxis])[0])
    top = probs.argmax(axis=1)
    voices = {}
    for domain, class_id in zip(domains, top, strict=True):
        voices.setdefault(class_names[class_id], []).append(domain)
    everyone = f"All {len(domains)} {part}s say {class_names[top[0]]}"
    said = "; ".join(
        f"{in_words(names)} {'say' if len(names) > 1 else 'says'} {name}"
        for name, names in voices.items()
    )
    if len(voices) > 1 and score >= CLOSE:
        level, title = "unsure", f"Unsure between {in_words(list(voices))}"
        text = (
            f"The {part}s weigh the classes much alike, and none is clearly "
            f"ahead: {said}."
        )
    elif len(voices) > 1:
        level, title = "disagree", f"The {part}s name different classes"
        text = f"{said[0].upper()}{said[1:]}."
    elif score < CLOSE:
        low, high = np.sort(probs[:, top[0]])[[0, -1]]
        level, title = "waver", f"The {part}s agree, some less surely"
        text = (
            f"{everyone}, but weigh the classes differently: it gets from "
            f"{100 * low:.0f} % to {100 * high:.0f} %."
        )
    else:
        level, title = "agree", f"The {part}s agree"
        text = (
            f"{everyone}, with much the same probabilities. That is no proof: "
            "where all is unfamiliar, they can be wrong together."
        )
    rates = _rates(votes or {}, part, len(voices) == 1, targets)
    text = f"{text} {rates}".strip()
    return {"level": level, "title": title, "score": score, "text": text}


def _rates(votes, part, same, targets) -> str:
    """Returns how often the model was right in such cases; "" if unknown."""
    found = []
    for where, of in (
        ("in_domain", "its sources that it did not learn from"),
        (OUT_OF_DOMAIN, f"{in_words(targets)}, never seen" if targets else ""),
    ):
        known = votes.get(where, {}).get("same" if same else "different", {})
        if of and known.get("images", 0) >= FEW:
            share = 100 * known["right"] / known["images"]
            found.append(f"{share:.0f} % of {known['images']:,} of {of}")
    if not found:
        return ""
    how = "name one class" if same else "name different ones"
    return (
        f"Of pictures whose {part}s {how}, this model had right: "
        f"{'; '.join(found)}."
    )
