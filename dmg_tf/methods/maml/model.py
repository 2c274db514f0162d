"""MAML with the source domains as its tasks."""

import keras
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods.by_domain import Groups, flat, mean_losses
from dmg_tf.methods.grouped import GroupedModel
from dmg_tf.methods.inner_steps import stepped, values_of
from dmg_tf.methods.maml.spec import SPEC
from dmg_tf.methods.steps import Step


@keras.saving.register_keras_serializable("dmg_tf")
class MAML(GroupedModel):
    """Trains weights that a gradient step on a source makes better for it.

    Finn, Abbeel and Levine, "Model-Agnostic Meta-Learning for Fast Adaptation
    of Deep Networks", ICML 2017, Algorithm 1. A task is a source domain; its
    images of a batch are halved, by every other one, into A to adapt with and Q
    to judge by. A step minimises over θ

        mean over d of L_Q(θ - α ∇L_A(θ)),

    L the mean cross entropy; with more inner steps the last counts, as in the
    authors' code.

    Differs: predictions are those of θ, which no domain adapts: that of a
    target could only be had with its labels. Nobody has published how MAML was
    run for domain generalisation; step sizes are this project's. The authors
    clip gradients on miniImageNet; here nothing is clipped.

    One more pass over the whole batch at θ, without a gradient, moves running
    statistics and gives the reported accuracy and cross entropy; the others
    use the statistics of their own images. The inner steps are the same on all
    replicas, taken on all their images.
    """

    spec = SPEC

    def objective(self, inputs, labels, weights=None):
        """Returns the loss after adaptation."""
        logits = self.forward(inputs, training=True).logits
        domains = self.groups(inputs, labels, weights)
        self._check_size(domains.images.shape[1])
        losses = [
            self._adapted_loss(domains.at(slice(index, index + 1)))
            for index in range(len(self.source_domains))
        ]
        return Step(
            logits,
            {"adapted": (1.0, tf.add_n(losses) / len(losses))},
            {"cross_entropy": self.cross_entropy(labels, logits, weights)},
        )

    def _adapted_loss(self, domain):
        adapt, judge = halves(domain)
        values = stepped(
            lambda values: self._loss_with(values, adapt),
            values_of(self.network_weights()),
            self.options.maml_inner_rate,
            self.options.maml_inner_steps,
            first_order=self.options.maml_order == "first",
            shared=True,
        )
        return self._loss_with(values, judge)

    def _loss_with(self, values, domain):
        logits = self.logits_with(values, {"image": flat(domain.images)})
        return mean_losses(self, domain, logits)[0]

    def _check_size(self, size):
        if size is not None and size < 2:
            raise UserError(
                f"{self.spec.title} takes at least 2 images of each source "
                "domain in a batch on every device, one to adapt with and one "
                f"to judge by, got {size}: raise --batch-size"
            )


def halves(domain: Groups) -> tuple[Groups, Groups]:
    """Returns the even and the odd images of each group.

    Thus the halves of two replicas are those of one that has all their images.
    """
    return (
        Groups(*(x[:, 0::2] for x in domain)),
        Groups(*(x[:, 1::2] for x in domain)),
    )
