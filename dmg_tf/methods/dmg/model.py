"""Domain-specific masks for generalization, the paper's method."""

import keras
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.dmg.domain_mask import DomainMask
from dmg_tf.methods.dmg.overlap import (
    REDUCTIONS,
    siou_penalty,
    sparsity_penalty,
)
from dmg_tf.methods.task_network import TaskNetwork


@keras.saving.register_keras_serializable("dmg_tf")
class DMG(DomainModel):
    """Masks the inputs of the task network's layers, a mask a domain.

    Paper: Sec. 3.2. Differs: the overlap is the mean over pairs of domains,
    summed over sites, as in the official code (`siou_reduction="sum"` is
    Eq. 2); an epoch is selected with each image under its own domain's mask
    thresholded at 0.5, as there.

    Prediction rules: `pred_ens` (mean of the logits under each soft mask),
    `mask_ens` (one pass under the mean soft mask, Sec. 7.3), `known_domain`
    (each image under its own domain's soft mask, DMG-KD in Sec. 4.2),
    `mask/<domain>` (all images under one domain's soft mask, Table 4), and
    `known_domain_binary` (thresholded, for selection).

    Args:
        *args: As for `DomainModel`.
        siou_weight: λ_O of Eq. 2.
        siou_reduction: "mean" or "sum" over pairs of domains.
        sparsity_weight: λ_S of Sec. 7.2; the paper uses it instead of sIoU.
        **kwargs: As for `DomainModel`.
    """

    dropout = False
    selection_rule = "known_domain_binary"

    def __init__(
        self,
        *args,
        siou_weight: float = 0.1,
        siou_reduction: str = "mean",
        sparsity_weight: float = 0.0,
        **kwargs,
    ):
        if siou_reduction not in REDUCTIONS:
            raise ValueError(
                f"`siou_reduction` must be one of {REDUCTIONS}, "
                f"got {siou_reduction!r}"
            )
        self.siou_weight = siou_weight
        self.siou_reduction = siou_reduction
        self.sparsity_weight = sparsity_weight
        super().__init__(*args, **kwargs)

    def make_task_network(self, stages):
        """Returns the task network with a mask at each site."""
        masks = {
            site: DomainMask(
                len(self.source_domains),
                # Sites of equal width must not draw the same numbers.
                seed=self.seed * 1000 + index,
                name=f"mask_{site}",
            )
            for index, site in enumerate(self.mask_sites)
        }
        return TaskNetwork(stages, masks, name="task_network")

    def tracked(self):
        """Returns the names of the training metrics, in order."""
        extra = ("sparsity",) if self.sparsity_weight else ()
        return ("loss", "accuracy", "cross_entropy", "siou", *extra)

    def penalties(self):
        """Returns the overlap and, if it is weighted, the L1 norm."""
        # σ(m̃) once a site, for both penalties.
        probs = [mask.mask_probs for mask in self.domain_masks.values()]
        found = {
            "siou": (
                self.siou_weight,
                tf.add_n([siou_penalty(p, self.siou_reduction) for p in probs]),
            )
        }
        if self.sparsity_weight:
            found["sparsity"] = (
                self.sparsity_weight,
                tf.add_n([sparsity_penalty(p) for p in probs]),
            )
        return found

    @property
    def domain_masks(self):
        """{site: DomainMask}, in the order of computation."""
        return self.task_network.masks

    @property
    def prediction_rules(self):
        """The rules a table shows, the default first."""
        return (
            "pred_ens",
            "mask_ens",
            "known_domain",
            *(f"mask/{domain}" for domain in self.source_domains),
        )

    def call(self, inputs, training=False):
        """Returns logits [B, C]: drawn masks in training, else Pred-Ens."""
        if training:
            return self.task_network(
                self.feature_extractor(inputs["image"], training=True),
                domain_ids=inputs["domain_ids"],
                training=True,
            )
        return self.logits_by_rule(inputs["image"], ["pred_ens"])["pred_ens"]

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once; features are computed once.

        All soft masks go through the task network as one batch of D * B.

        Args:
            images: float [B, H, W, 3], normalised.
            rules: Names of prediction rules.
            domain_ids: int [B]; needed by `known_domain` and
                `known_domain_binary`.

        Returns:
            {rule: float32 [B, C]}.
        """
        features = self.feature_extractor(images, training=False)
        if list(rules) == ["pred_ens"]:
            return {"pred_ens": self._mean_over_masks(features)}
        per_mask = None
        if any(r == "pred_ens" or r.startswith("mask/") for r in rules):
            per_mask = self._per_mask(features)  # [D, B, C]
        found = {}
        for rule in rules:
            if rule == "pred_ens":
                found[rule] = tf.reduce_mean(per_mask, axis=0)
            elif rule == "mask_ens":
                found[rule] = self._scaled(
                    features,
                    lambda mask: tf.reduce_mean(mask.mask_probs, axis=0),
                )
            elif rule == "known_domain":
                found[rule] = (
                    self._scaled(
                        features,
                        lambda mask: tf.gather(mask.mask_probs, domain_ids),
                    )
                    if per_mask is None
                    else _own(per_mask, domain_ids)
                )
            elif rule == "known_domain_binary":
                found[rule] = self._scaled(
                    features,
                    lambda mask: tf.gather(mask.binary_masks, domain_ids),
                )
            else:
                domain = rule.removeprefix("mask/")
                found[rule] = per_mask[self.source_domains.index(domain)]
        return found

    def _scaled(self, features, scale):
        scales = {site: scale(m) for site, m in self.domain_masks.items()}
        return tf.cast(self.task_network(features, scales=scales), tf.float32)

    def _per_mask(self, features):
        """[B, ...] -> float32 [D, B, C]: all images under each soft mask."""
        logits = self.task_network(*self._under_each_mask(features))
        logits = tf.cast(logits, tf.float32)
        return tf.reshape(
            logits, [len(self.source_domains), -1, self.num_classes]
        )

    def _mean_over_masks(self, features):
        """[B, ...] -> float32 [B, C]: the mean of the logits under each mask.

        The classifier is linear, so its inputs are averaged in place of its
        outputs; where it is all that is masked, one plain pass is left.
        """
        hidden = self.task_network.hidden(*self._under_each_mask(features))
        num_domains = len(self.source_domains)
        hidden = tf.reshape(hidden, [num_domains, -1, hidden.shape[-1]])
        mean = tf.reduce_mean(hidden, axis=0)
        return tf.cast(self.task_network.stages[-1](mean), tf.float32)

    def _under_each_mask(self, features):
        """Returns D copies of a batch, and the domains of their masks."""
        num_domains = len(self.source_domains)
        tiles = [num_domains] + [1] * (len(features.shape) - 1)
        domain_ids = tf.repeat(tf.range(num_domains), tf.shape(features)[0])
        return tf.tile(features, tiles), domain_ids

    def get_config(self):
        """Returns the arguments that rebuild the model."""
        return {
            **super().get_config(),
            "siou_weight": self.siou_weight,
            "siou_reduction": self.siou_reduction,
            "sparsity_weight": self.sparsity_weight,
        }


def _own(per_mask, domain_ids):
    """[D, B, C], [B] -> [B, C]: each image under its own domain's mask."""
    rows = tf.range(tf.shape(per_mask)[1])
    return tf.gather_nd(
        per_mask, tf.stack([tf.cast(domain_ids, tf.int32), rows], axis=1)
    )
