"""Domain-specific masks for generalization, the paper's method."""

import dataclasses

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import linear
from dmg_tf.errors import UserError
from dmg_tf.methods.base import DomainModel, PlainNetwork
from dmg_tf.methods.dmg.domain_mask import DomainMask
from dmg_tf.methods.dmg.folding import folded_kernels
from dmg_tf.methods.dmg.measures import mask_density, mask_iou, mask_keep
from dmg_tf.methods.dmg.overlap import siou_penalty, sparsity_penalty
from dmg_tf.methods.dmg.spec import SPEC
from dmg_tf.methods.dmg.task_network import TaskNetwork
from dmg_tf.methods.domain_logits import by_rule
from dmg_tf.methods.network import stages_named
from dmg_tf.methods.source_classifier import (
    domain_loss,
    over_space,
)
from dmg_tf.methods.steps import Outputs, Step, accuracy
from dmg_tf.rules import PredictionRule, domain_rules

PRED_ENS = PredictionRule("pred_ens", "Pred-Ens", mean_of_domains=True)
# Of one mask there is nothing to average.
OF_ONE_MASK = dataclasses.replace(PRED_ENS, mean_of_domains=False)
MASK_ENS = PredictionRule("mask_ens", "Mask-Ens")
WEIGHTED_ENS = PredictionRule("weighted_ens", "Weighted-Ens")
KNOWN_DOMAIN = PredictionRule("known_domain", "known domain", needs_domain=True)
KNOWN_DOMAIN_BINARY = PredictionRule(
    "known_domain_binary",
    "known domain, binary masks",
    needs_domain=True,
    selects=True,
    shown=False,
)


# Under so many masks a batch is computed at the same time.
_MASKS_AT_ONCE = 8


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

    With `domain_classifier`, `weighted_ens` too: the logits under the soft
    masks, weighted by how much an image looks like each source (footnote to
    Sec. 3.2). The paper does not say what its classifier sees; here it is
    linear on what the task network takes, averaged over space, which no mask
    has touched. No gradient of it reaches the network, so that network and
    masks learn as they do without.

    With `shared_mask`, which is not the paper's, all domains have one mask:
    what is left when masks learn which units are useful, and not for whom. It
    has one prediction, `pred_ens`, and its overlap counts as 0.

    Attributes:
        mask_sites: The stages whose input is masked, in the order of
            computation.

    Raises:
        UserError: If a site is unknown, or one mask is to be weighted.
    """

    spec = SPEC
    learns_domains = True
    dropout = False

    def begins_at(self, network):
        """Returns the first mask site."""
        self.mask_sites = stages_named(
            network,
            self.backbone,
            self.options.mask_sites or network.mask_sites,
            "mask site",
        )
        return self.mask_sites[0]

    def make_task_network(self, stages):
        """Returns the task network with a mask at each site."""
        if self.options.shared_mask and self.options.domain_classifier:
            raise UserError(
                "--domain-classifier weighs the predictions of the domains' "
                "masks, and --shared-mask leaves one; leave one of them out"
            )
        masks = {
            site: DomainMask(
                len(self.source_domains),
                # Sites of equal width must not draw the same numbers.
                seed=self.seed * 1000 + index,
                shared=self.options.shared_mask,
                name=f"mask_{site}",
            )
            for index, site in enumerate(self.mask_sites)
        }
        return TaskNetwork(stages, masks, name="task_network")

    def build_task_network(self, features):
        """Calls the task network on symbolic features [B, ...]."""
        domain_ids = keras.Input((), dtype="int32")
        self.task_network(features, domain_ids=domain_ids, training=False)
        if self.options.domain_classifier:
            self.domain_classifier = linear(
                "domain_classifier",
                features.shape[-1],
                len(self.source_domains),
                self.seed,
            )
            self.domain_classifier.build((None, features.shape[-1]))

    def inference_layers(self):
        """Returns the layers that prediction reads."""
        layers = super().inference_layers()
        if self.options.domain_classifier:
            layers.append(self.domain_classifier)
        return layers

    def tracked(self):
        """Returns the names of the training metrics, in order."""
        left_out = set()
        if not self.options.sparsity_weight:
            left_out.add("sparsity")
        if not self.options.domain_classifier:
            left_out |= {"domain_loss", "domain_accuracy"}
        return tuple(n for n in super().tracked() if n not in left_out)

    def objective(self, inputs, labels, weights=None):
        """Returns what a step minimises."""
        if not self.options.domain_classifier:
            return super().objective(inputs, labels, weights)
        outputs = self.forward(inputs, training=True)
        domain_ids = self.domain_ids_of(inputs)
        told = self._domain_logits(tf.stop_gradient(outputs.entry))
        loss = self.cross_entropy(labels, outputs.logits, weights)
        return Step(
            outputs.logits,
            {
                "cross_entropy": (1.0, loss),
                **self.penalties(),
                "domain_loss": (1.0, domain_loss(domain_ids, told, weights)),
            },
            {"domain_accuracy": accuracy(domain_ids, told)},
        )

    def _domain_logits(self, features):
        """[B, ...] -> float32 [B, D]: how much it looks like each source."""
        told = self.domain_classifier(over_space(features))
        return tf.cast(told, tf.float32)

    def penalties(self):
        """Returns the overlap and, if it is weighted, the L1 norm."""
        # σ(m̃) once a site, for both penalties.
        probs = [mask.mask_probs for mask in self.domain_masks.values()]
        reduction = self.options.siou_reduction
        overlap = tf.zeros(())
        if not self.options.shared_mask:
            overlap = tf.add_n([siou_penalty(p, reduction) for p in probs])
        terms = {"siou": (self.options.siou_weight, overlap)}
        if self.options.sparsity_weight:
            terms["sparsity"] = (
                self.options.sparsity_weight,
                tf.add_n([sparsity_penalty(p) for p in probs]),
            )
        return terms

    def rate_of(self, variable, learning_rate):
        """Returns the masks' rate as a multiple of the network's (Sec. 7.5)."""
        rate = self.options.mask_learning_rate
        masks = self.domain_masks.values()
        if rate is None or all(variable is not m.mask_logits for m in masks):
            return 1.0
        return rate / learning_rate

    @property
    def domain_masks(self) -> dict[str, DomainMask]:
        """{site: DomainMask}, in the order of computation."""
        return self.task_network.masks

    def rules(self):
        """Returns the ways to predict, the default first."""
        if self.options.shared_mask:
            return OF_ONE_MASK, KNOWN_DOMAIN_BINARY
        return (
            PRED_ENS,
            MASK_ENS,
            *([WEIGHTED_ENS] if self.options.domain_classifier else []),
            KNOWN_DOMAIN,
            *domain_rules("mask", self.source_domains),
            KNOWN_DOMAIN_BINARY,
        )

    def measures(self):
        """Returns what the masks look like (Sec. 7.1)."""
        masks = self.domain_masks, self.source_domains
        return {
            "mask_iou": mask_iou(*masks),
            "mask_density": mask_density(*masks),
            "mask_keep": mask_keep(*masks),
        }

    def describe(self):
        """Returns where the masks are."""
        return (f"masks on the input of {', '.join(self.mask_sites)}",)

    def plain_network(self):
        """Returns Mask-Ens, or the prediction of one mask, as a plain network.

        The mean mask is multiplied into the weights behind it.
        """
        kernels = folded_kernels(self)
        plain = self.new_plain_network(self.mask_sites[0])
        for mine, theirs in (
            (self.feature_extractor, plain.feature_extractor),
            *zip(
                self.task_network.stages,
                plain.task_network.stages,
                strict=True,
            ),
        ):
            for old, new in zip(mine.weights, theirs.weights, strict=True):
                new.assign(kernels.get(id(old), old))
        rule = OF_ONE_MASK if self.options.shared_mask else MASK_ENS
        return PlainNetwork(rule, plain)

    def call(self, inputs, training=False):
        """Returns logits [B, C]: drawn masks in training, else Pred-Ens."""
        inputs = self.as_inputs(inputs)
        if training:
            return self.task_network(
                self.features(inputs["image"], training=True),
                domain_ids=self.domain_ids_of(inputs),
                training=True,
            )
        rule = PRED_ENS.name
        return self.logits_by_rule(inputs["image"], [rule])[rule]

    def forward(self, inputs, training=False):
        """Returns logits, and what they were made of.

        In training that is masked by drawn masks, else the mean over masks.
        """
        inputs = self.as_inputs(inputs)
        entry = self.features(inputs["image"], training=training)
        if not training:
            hidden = self._mean_hidden(entry)
            logits = self.task_network.stages[-1](hidden)
        else:
            logits, hidden = self.task_network(
                entry,
                domain_ids=self.domain_ids_of(inputs),
                training=True,
                with_hidden=True,
            )
        return Outputs(tf.cast(logits, tf.float32), hidden, entry)

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once; features are computed once.

        All soft masks go through the task network as batches of some masks
        times B.
        """
        if list(rules) == [PRED_ENS.name]:
            return {PRED_ENS.name: self.forward({"image": images}).logits}
        features = self.features(images, training=False)
        # What is one pass by itself, unless all masks are needed anyway.
        passes = {
            MASK_ENS.name: lambda mask: tf.reduce_mean(mask.mask_probs, axis=0),
            KNOWN_DOMAIN_BINARY.name: lambda mask: tf.gather(
                mask.binary_masks, domain_ids
            ),
        }
        rest = [name for name in rules if name not in passes]
        if rest == [KNOWN_DOMAIN.name]:
            passes[KNOWN_DOMAIN.name] = lambda mask: tf.gather(
                mask.mask_probs, domain_ids
            )
            rest = []
        found = {
            name: self._scaled(features, scale)
            for name, scale in passes.items()
            if name in rules
        }
        if rest:
            per_mask = self._per_mask(features)
            if WEIGHTED_ENS.name in rest:
                rest.remove(WEIGHTED_ENS.name)
                shares = tf.nn.softmax(self._domain_logits(features))
                found[WEIGHTED_ENS.name] = tf.einsum(
                    "bd,bdc->bc", shares, per_mask
                )
            found |= by_rule(
                per_mask,
                self.rules_named(rest),
                self.source_domains,
                domain_ids,
            )
        return {name: found[name] for name in rules}

    def _scaled(self, features, scale):
        scales = {site: scale(m) for site, m in self.domain_masks.items()}
        return tf.cast(self.task_network(features, scales=scales), tf.float32)

    def _per_mask(self, features):
        """[B, ...] -> float32 [B, D, C]: all images under each soft mask."""
        logits = self._under_each_mask(self.task_network, features)
        return tf.transpose(tf.cast(logits, tf.float32), [1, 0, 2])

    def _mean_hidden(self, features):
        """[B, ...] -> [B, F]: the mean over masks of the classifier's input.

        The classifier is linear, so its inputs are averaged in place of its
        outputs; where it is all that is masked, one plain pass is left.
        """
        hidden = self._under_each_mask(self.task_network.hidden, features)
        return tf.reduce_mean(hidden, axis=0)

    def _under_each_mask(self, network, features):
        """[B, ...] -> [D, B, N]: what a network gives under each soft mask.

        Some masks are one batch; with many domains there are several of these,
        one behind the other, so that never more than `_MASKS_AT_ONCE` copies
        of a batch are in memory.
        """
        found, num_domains = [], len(self.source_domains)
        for first in range(0, num_domains, _MASKS_AT_ONCE):
            count = min(_MASKS_AT_ONCE, num_domains - first)
            with tf.control_dependencies(found[-1:]):
                tiles = [count] + [1] * (len(features.shape) - 1)
                copies = tf.tile(features, tiles)
            masks = tf.repeat(
                tf.range(first, first + count), tf.shape(features)[0]
            )
            outputs = network(copies, domain_ids=masks)
            shape = [count, -1, outputs.shape[-1]]
            found.append(tf.reshape(outputs, shape))
        return tf.concat(found, axis=0) if len(found) > 1 else found[0]

    def compile_from_config(self, config):
        """Compiles a loaded model, one of version 0.1 too.

        There the optimiser had one ratio for all that was called
        "mask_logits".
        """
        super().compile_from_config(config)
        settings = config.get("optimizer", {}).get("config", {})
        inner = settings.get("inner_optimizer", {}).get("config", settings)
        ratio = inner.get("mask_rate_ratio", 1.0)
        if ratio != 1.0:
            masks = {id(m.mask_logits) for m in self.domain_masks.values()}
            optimizer = getattr(
                self.optimizer, "inner_optimizer", self.optimizer
            )
            optimizer.rates = [
                ratio if id(v) in masks else 1.0
                for v in self.trainable_variables
            ]
