"""Methods that learn from the loss on each source domain, their risks."""

import tensorflow as tf

from dmg_tf.methods.by_domain import (
    Seen,
    flat,
    mean_losses,
    on_all_replicas,
)
from dmg_tf.methods.grouped import GroupedModel


class RiskModel(GroupedModel):
    """A `GroupedModel` that learns from its risk on each source.

    The risk L_d of a source is the mean loss of its images in the batch. It is
    that of the images of all replicas: what is made of risks is on several
    devices what it is on one.
    """

    def seen(self, inputs, labels, weights=None):
        """Returns a forward pass of this replica's images, and a `Seen`.

        Args:
            inputs: {"image": ..., "domain_ids": ...}, as for a call.
            labels: int [B], or float [B, C] of shares.
            weights: float [B], how much each image counts, or None.
        """
        outputs = self.forward(inputs, training=True)
        groups = self.groups(inputs, labels, weights)
        logits, hidden = (
            tf.gather(x, groups.rows) for x in (outputs.logits, outputs.hidden)
        )
        return outputs, on_all_replicas(groups, logits, hidden)

    def risks(self, seen: Seen):
        """Returns L_d of each source, float32 [D]; 0 of one without images."""
        return tf.stack(mean_losses(self, seen, flat(seen.logits)))

    def of_each_source(self, name: str, values) -> dict:
        """Returns metrics of the sources by their names in the logs.

        Args:
            name: One of the spec's `metrics_by_domain`.
            values: [D].
        """
        count = len(self.source_domains)
        return {
            f"{name}_{domain}": value
            for domain, value in zip(
                self.source_domains, tf.unstack(values, count), strict=True
            )
        }


def mean_of(values, there):
    """Returns the mean of the values that are there, 0 if there are none.

    Args:
        values: float32 [K].
        there: float32 [K] of 0 and 1.
    """
    return tf.math.divide_no_nan(
        tf.reduce_sum(values * there), tf.reduce_sum(there)
    )
