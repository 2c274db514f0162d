"""Methods whose steps treat each source domain of a batch by itself."""

from dmg_tf.errors import UserError
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.by_domain import Groups, domain_order, groups_of


class GroupedModel(DomainModel):
    """A `DomainModel` that learns from a batch as groups of its domains."""

    learns_domains = True

    def ask_for_two_sources(self, why: str) -> None:
        """Raises UserError where there is one source only.

        Args:
            why: What the method does, which takes two.
        """
        if len(self.source_domains) < 2:
            raise UserError(f"{self.spec.title} {why}: give at least 2, got 1")

    def groups(self, inputs, labels, weights=None, order=None) -> Groups:
        """Returns a batch sorted by domain; see `groups_of`.

        Args:
            inputs: {"image": ..., "domain_ids": ...}, as for a call.
            labels: int [B], or float [B, C] of shares.
            weights: float [B], how much each image counts, or None.
            order: int32 [D], the domains in the order of the groups; None for
                that of their ids.
        """
        return groups_of(
            inputs["image"],
            labels,
            self.domain_ids_of(inputs),
            len(self.source_domains),
            weights,
            order,
        )

    def draw_order(self):
        """Returns a random order of the sources, int32 [D].

        It is a function of the run's seed and the step.
        """
        return domain_order(
            self.seed, self.optimizer.iterations, len(self.source_domains)
        )
