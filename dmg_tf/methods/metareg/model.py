"""MetaReg: a regulariser of the task network that is learned from domains."""

import keras
import tensorflow as tf

from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.inner_steps import stepped, values_of
from dmg_tf.methods.metareg.spec import SPEC
from dmg_tf.methods.network import stages_named
from dmg_tf.methods.steps import cross_entropies, step_key


@keras.saving.register_keras_serializable("dmg_tf")
class MetaReg(DomainModel):
    """Trains on all sources under a penalty that is learned across domains.

    Balaji, Sankaranarayanan and Chellappa, "MetaReg: Towards Domain
    Generalization using Meta-Regularization", NeurIPS 2018; a baseline in
    Sec. 4.1 of the paper. The penalty is R(θ) = Σ φ_j |θ_j| over the task
    network's parameters. Each step

    1. trains the network on all sources under R;
    2. trains a task network for each source on that source's images;
    3. takes the one of a source a through some gradient steps on a under R, and
       moves φ against the gradient of its loss on another source b.

    Differs: φ is learned while the network trains, not in a phase before it, so
    a run has one length and every epoch can be selected; the inner steps are
    all on the batch's images of a; φ is kept from below zero, where R would
    have no lowest value; step sizes are this project's. Unless told otherwise
    the task network is the last layer, as each source keeps one of its own.

    Weights, besides the network's, none of them trained by the optimiser:
        regularizer_weights: φ, a variable as each parameter of the
            task network; from zero.
        domain_networks: [D, ...], likewise, a parameter a source; from
            the task network's own.

    Randomness:
        The pair of sources of a step is a function of seed and step.
    """

    spec = SPEC
    learns_domains = True
    # Step size of the inner steps and of the sources' own task networks.
    inner_learning_rate = 0.01

    def begins_at(self, network):
        """Returns where the task network begins: at the last layer, or told."""
        sites = self.options.mask_sites
        if not sites:
            return network.stages[-1].name
        return stages_named(network, self.backbone, sites, "mask site")[0]

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        self.regularizer_weights, self.domain_networks = [], []
        # Each replica has its own images; they agree on the mean.
        shared = {"trainable": False, "aggregation": "mean"}
        for index, weight in enumerate(self.task_network.trainable_variables):
            self.regularizer_weights.append(
                self.add_weight(
                    name=f"regularizer_weights_{index}",
                    shape=weight.shape,
                    initializer="zeros",
                    **shared,
                )
            )
            self.domain_networks.append(
                self.add_weight(
                    name=f"domain_networks_{index}",
                    shape=(len(self.source_domains), *weight.shape),
                    initializer="zeros",
                    **shared,
                )
            )
        self._start_domain_networks()

    def _start_domain_networks(self):
        for stack, weight in zip(
            self.domain_networks,
            self.task_network.trainable_variables,
            strict=True,
        ):
            stack.assign(tf.broadcast_to(weight.value, stack.shape))

    def load_torchvision(self, state_dict, source: str = "state_dict") -> None:
        """Loads weights; the sources' own task networks start from them too.

        Args:
            state_dict: {name: array}, as torchvision saves it.
            source: What to call it in errors.

        Raises:
            UserError: As for `DomainModel`.
        """
        super().load_torchvision(state_dict, source)
        self._start_domain_networks()

    def penalties(self):
        """Returns R(θ) of the network that is trained on all sources."""
        parameters = [w.value for w in self.network_weights("task_network")]
        return {
            "regularizer": (
                1.0,
                regularizer(values_of(self.regularizer_weights), parameters),
            )
        }

    def train_step(self, data):
        """Updates the network, then the sources' own and the regulariser."""
        # Read before the optimiser counts the step.
        step = tf.cast(self.optimizer.iterations, tf.int64)
        logs = super().train_step(data)
        inputs, labels, _ = self.unpack(data)
        features = self.features(inputs["image"], training=False)
        domain_ids = self.domain_ids_of(inputs)
        self._train_domain_networks(features, labels, domain_ids)
        first, second = self._pair(step)
        start = [tf.gather(s.value, first) for s in self.domain_networks]
        gradients = self.meta_gradient(
            values_of(self.regularizer_weights),
            start,
            features,
            labels,
            tf.cast(domain_ids == first, tf.float32),
            tf.cast(domain_ids == second, tf.float32),
        )
        for weight, gradient in zip(
            self.regularizer_weights, gradients, strict=True
        ):
            moved = weight.value - self.options.meta_learning_rate * gradient
            weight.assign(tf.nn.relu(moved))
        return logs

    def meta_gradient(self, weights, start, features, labels, train, test):
        """Returns the gradient of the loss on one source by φ.

        Args:
            weights: φ, a tensor a parameter of the task network.
            start: Parameters of the task network, before the inner steps.
            features: [B, ...], what the feature extractor returned.
            labels: int [B].
            train: float32 [B]: 1 for images of the inner steps' source.
            test: float32 [B]: 1 for images of the other source.

        Returns:
            A tensor for each of `weights`.
        """
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss = self.meta_loss(weights, start, features, labels, train, test)
        return tape.gradient(loss, weights)

    def meta_loss(self, weights, start, features, labels, train, test):
        """Returns the other source's loss after the inner steps; see above."""

        def inner_loss(parameters):
            loss = self._loss(parameters, features, labels, train)
            return loss + regularizer(weights, parameters)

        parameters = stepped(
            inner_loss,
            start,
            self.inner_learning_rate,
            self.options.meta_steps,
        )
        return self._loss(parameters, features, labels, test)

    def _train_domain_networks(self, features, labels, domain_ids):
        stacks = values_of(self.domain_networks)
        with tf.GradientTape() as tape:
            tape.watch(stacks)
            loss = tf.add_n(
                [
                    self._loss(
                        [stack[index] for stack in stacks],
                        features,
                        labels,
                        tf.cast(domain_ids == index, tf.float32),
                    )
                    for index in range(len(self.source_domains))
                ]
            )
        for stack, gradient in zip(
            self.domain_networks, tape.gradient(loss, stacks), strict=True
        ):
            stack.assign(stack.value - self.inner_learning_rate * gradient)

    def _loss(self, parameters, features, labels, chosen):
        """Mean cross entropy of the chosen images; 0 where there are none."""
        logits = self.logits_with(parameters, features, "task_network")
        each = cross_entropies(labels, logits)
        return tf.math.divide_no_nan(
            tf.reduce_sum(chosen * each), tf.reduce_sum(chosen)
        )

    def _pair(self, step):
        """Returns two different sources, int32 scalars."""
        count = len(self.source_domains)
        place = tf.random.stateless_uniform(
            [],
            step_key(self.seed, step),
            maxval=count * (count - 1),
            dtype=tf.int32,
        )
        first = place // (count - 1)
        return first, (first + 1 + place % (count - 1)) % count


def regularizer(weights, parameters):
    """Returns R(θ) = Σ φ_j |θ_j|, a float32 scalar.

    Args:
        weights: φ, a list of tensors.
        parameters: θ, of the same shapes.
    """
    total = tf.add_n(
        [
            tf.reduce_sum(weight * tf.abs(parameter))
            for weight, parameter in zip(weights, parameters, strict=True)
        ]
    )
    return tf.cast(total, tf.float32)
