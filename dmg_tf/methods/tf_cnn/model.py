"""TF-CNN: kernels of all domains as one tensor of low rank."""

import keras
import tensorflow as tf

from dmg_tf.errors import UserError
from dmg_tf.methods import task_network
from dmg_tf.methods.base import DomainModel, PlainNetwork
from dmg_tf.methods.domain_logits import by_rule
from dmg_tf.methods.network import stages_named
from dmg_tf.methods.steps import Outputs
from dmg_tf.methods.tf_cnn.spec import SPEC
from dmg_tf.methods.tf_cnn.tucker import (
    TuckerLayer,
    can_be_factorised,
    under,
)
from dmg_tf.rules import PredictionRule, domain_rules

COMMON = PredictionRule("pred_ens", "common kernels", selects=True)
KNOWN_DOMAIN = PredictionRule("known_domain", "known domain", needs_domain=True)

_LINEAR = (
    keras.layers.Dense,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
)


class TaskNetwork(task_network.TaskNetwork):
    """The stages behind the feature extractor, some with factorised kernels.

    Call arguments, beside those of any task network:
        descriptors: [B, D + 1], which kernels each image takes; None for the
            common ones.
    """

    def call(
        self, features, descriptors=None, training=False, with_hidden=False
    ):
        """Returns the logits, and what they were made of if asked."""
        with under(descriptors):
            return super().call(features, training, with_hidden)


@keras.saving.register_keras_serializable("dmg_tf")
class TFCNN(DomainModel):
    """Trains a kernel a domain and a common one, tied by a low rank.

    Li, Yang, Song and Hospedales, "Deeper, Broader and Artier Domain
    Generalization", ICCV 2017; a row of Table 6 of the paper. An image of the
    sources is classified by the common kernel plus its domain's own, one of an
    unseen domain by the common kernel alone. There is no penalty: that the
    kernels share factors is all that ties them.

    Differs: which layers and which ranks the authors took is not known to this
    project. The last stages that have dense layers and 1 x 1 convolutions alone
    are factorised unless told otherwise (of a ResNet the last layer, of AlexNet
    all three, of EfficientNet-Lite0 the last two), spatial modes never; ranks
    are a share of a kernel's size, but the last layer's, which has few outputs,
    is not truncated; kernels of domains start at zero, as one pretrained
    network has no more; biases are a common one and one a domain, not
    factorised; weight decay acts on core and factors alike.

    Prediction rules: `pred_ens` (the common kernels), `known_domain` (each
    image under its own domain's) and `domain/<domain>` (all images under one
    domain's). An epoch is selected by the first.

    Attributes:
        factorised: The stages whose kernels are factorised, in order.
    """

    spec = SPEC
    learns_domains = True
    _starts = True
    _kept = ()

    def begins_at(self, network):
        """Returns the first stage that is factorised."""
        names = self.options.tf_cnn_stages or _last_pointwise(network.stages)
        self.factorised = stages_named(network, self.backbone, names, "stage")
        return self.factorised[0]

    def make_task_network(self, stages):
        """Returns the task network with factorised layers."""
        stages = [
            self._factorised(stage, last=stage is stages[-1])
            if stage.name in self.factorised
            else stage
            for stage in stages
        ]
        return TaskNetwork(stages, name="task_network")

    def _factorised(self, stage, last):
        def replaced(layer):
            if not can_be_factorised(layer):
                return layer
            return TuckerLayer(layer, len(self.source_domains), ranks)

        ranks = self._full_ranks if last else self._low_ranks
        if not isinstance(stage, keras.Model):
            return replaced(stage)
        found = keras.models.clone_model(stage, clone_function=replaced)
        if not any(isinstance(part, TuckerLayer) for part in found.layers):
            raise UserError(
                f"--tf-cnn-stages {stage.name} has no dense layer or "
                "convolution without groups"
            )
        return found

    def _low_ranks(self, inputs, outputs):
        rank = max(1, round(self.options.tf_cnn_rank * min(inputs, outputs)))
        return rank, rank, len(self.source_domains) + 1

    def _full_ranks(self, inputs, outputs):
        kernels = len(self.source_domains) + 1
        return min(inputs, outputs * kernels), outputs, kernels

    def build(self, input_shape=None):
        """Makes all variables; kernels start as a plain network's would."""
        super().build(input_shape)
        if self._starts:
            self._start_from(self.new_plain_network(self.factorised[0]))

    def build_from_config(self, config):
        """Makes the variables of a saved model, which are then loaded."""
        # A decomposition takes a minute where kernels are large.
        self._starts = False
        super().build_from_config(config)

    def load_torchvision(self, state_dict, source: str = "state_dict") -> None:
        """Loads weights and decomposes the kernels anew.

        Args:
            state_dict: {name: array}, as torchvision saves it.
            source: What to call it in errors.

        Raises:
            UserError: As for `DomainModel`.
        """
        plain = self.new_plain_network(self.factorised[0])
        plain.load_torchvision(state_dict, source)
        self._start_from(plain)

    def start_classifier(self, kernel, bias) -> None:
        """Gives the last layer its first weights, as low-rank where it is."""
        last = self.task_network.stages[-1]
        if isinstance(last, TuckerLayer):
            last.start(kernel, bias, seed=self.seed)
        else:
            super().start_classifier(kernel, bias)

    def _start_from(self, plain):
        self._kept = []
        for layer, own in self._paired(plain):
            if isinstance(own, TuckerLayer):
                kept = own.start(*layer.get_weights(), seed=self.seed)
                ranks = " x ".join(map(str, own.ranks))
                self._kept.append(f"{own.name} ({ranks}, {kept:.1%})")
            else:
                own.set_weights(layer.get_weights())

    def _paired(self, plain):
        """Yields (layer of a plain network, our layer of the same name)."""
        own = {layer.name: layer for layer in self.named_layers()}
        for layer in plain.named_layers():
            if layer.weights:  # others have numbers for names
                yield layer, own[layer.name]

    def describe(self):
        """Returns which kernels are factorised, and what their ranks keep."""
        if not self._kept:
            return ()
        return (
            "kernels by domain as low-rank tensors (ranks, share of the "
            f"kernel's squares kept): {', '.join(self._kept)}",
        )

    def plain_network(self):
        """Returns the common kernels as one plain network."""
        plain = self.new_plain_network(self.factorised[0])
        for layer, own in self._paired(plain):
            weights = own.get_weights()
            if isinstance(own, TuckerLayer):
                weights = [own.kernels()[..., -1]]
                weights += [own.bias.numpy()] if own.has_bias else []
            layer.set_weights(weights)
        return PlainNetwork(COMMON, plain)

    def rules(self):
        """Returns the ways to predict, the default first."""
        return (
            COMMON,
            KNOWN_DOMAIN,
            *domain_rules("domain", self.source_domains),
        )

    def descriptors_of(self, domain_ids):
        """Returns [B, D + 1]: 1 at an image's domain and at the last place."""
        domains = tf.one_hot(domain_ids, len(self.source_domains))
        return tf.concat([domains, tf.ones_like(domains[:, :1])], axis=1)

    def call(self, inputs, training=False):
        """Returns logits [B, C]: own kernels in training, else the common."""
        return self.forward(inputs, training).logits

    def forward(self, inputs, training=False):
        """Returns logits, and what they were made of."""
        inputs = self.as_inputs(inputs)
        entry = self.features(inputs["image"], training=training)
        logits, hidden = self.task_network(
            entry,
            self.descriptors_of(self.domain_ids_of(inputs))
            if training
            else None,
            training=training,
            with_hidden=True,
        )
        return Outputs(tf.cast(logits, tf.float32), hidden, entry)

    def logits_by_rule(self, images, rules, domain_ids=None):
        """Predicts by several rules at once; features are computed once."""
        features = self.features(images, training=False)
        found, rest = {}, list(rules)
        if COMMON.name in rest:
            rest.remove(COMMON.name)
            found[COMMON.name] = self._under(features, None)
        if rest == [KNOWN_DOMAIN.name]:
            descriptors = self.descriptors_of(domain_ids)
            found[KNOWN_DOMAIN.name] = self._under(features, descriptors)
        elif rest:
            found |= by_rule(
                self._under_each(features),
                self.rules_named(rest),
                self.source_domains,
                domain_ids,
            )
        return {rule: found[rule] for rule in rules}

    def _under(self, features, descriptors):
        logits = self.task_network(features, descriptors, training=False)
        return tf.cast(logits, tf.float32)

    def _under_each(self, features):
        """[B, ...] -> float32 [B, D, C]: all images under each domain's."""
        num_domains = len(self.source_domains)
        images = tf.shape(features)[0]
        tiles = [num_domains] + [1] * (len(features.shape) - 1)
        domain_ids = tf.repeat(tf.range(num_domains), images)
        logits = self._under(
            tf.tile(features, tiles), self.descriptors_of(domain_ids)
        )
        logits = tf.reshape(logits, [num_domains, images, self.num_classes])
        return tf.transpose(logits, [1, 0, 2])


def _last_pointwise(stages):
    """Returns the last stages that have pointwise linear layers alone."""
    names = []
    for stage in reversed(stages):
        linear = [
            layer
            for layer in getattr(stage, "layers", None) or [stage]
            if isinstance(layer, _LINEAR)
        ]
        if not all(
            can_be_factorised(layer, pointwise=True) for layer in linear
        ):
            break
        names.insert(0, stage.name)
    return names
