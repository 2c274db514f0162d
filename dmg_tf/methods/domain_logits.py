"""What methods with a prediction a source domain have in common."""

from collections.abc import Sequence

import tensorflow as tf

from dmg_tf.rules import PredictionRule


def own(per_domain, domain_ids):
    """Picks for each image what its own domain says.

    Args:
        per_domain: [B, D, ...].
        domain_ids: int [B].

    Returns:
        [B, ...].
    """
    # Keras hands integers over as floats when it builds a model.
    domain_ids = tf.cast(domain_ids, tf.int32)
    return tf.gather(per_domain, domain_ids, axis=1, batch_dims=1)


def by_rule(
    per_domain,
    rules: Sequence[PredictionRule],
    source_domains: Sequence[str],
    domain_ids=None,
) -> dict[str, tf.Tensor]:
    """Predicts by rules that are made of the domains' own logits.

    Args:
        per_domain: float32 [B, D, C], by each domain's own part.
        rules: That of one domain takes its logits; one that needs the domain
            takes those of each image's own; any other is the mean over domains.
        source_domains: Their names, in the order of the ids.
        domain_ids: int [B].

    Returns:
        {rule's name: float32 [B, C]}.
    """
    found = {}
    for rule in rules:
        if rule.domain is not None:
            index = source_domains.index(rule.domain)
            found[rule.name] = per_domain[:, index]
        elif rule.needs_domain:
            found[rule.name] = own(per_domain, domain_ids)
        else:
            found[rule.name] = tf.reduce_mean(per_domain, axis=1)
    return found
