"""MASF: relations between classes and clusters that hold on other domains."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import linear
from dmg_tf.errors import UserError
from dmg_tf.methods.by_domain import (
    Groups,
    flat,
    in_groups,
    mean_losses,
    on_all_replicas,
)
from dmg_tf.methods.grouped import GroupedModel
from dmg_tf.methods.inner_steps import (
    moved,
    sources_of,
    values_of,
    with_gradients,
)
from dmg_tf.methods.masf.losses import global_loss, local_loss
from dmg_tf.methods.masf.spec import SPEC
from dmg_tf.methods.replicas import mean_over_replicas, num_replicas
from dmg_tf.methods.steps import Step

SLOPE = 0.2  # of the metric network's leaky ReLUs


@keras.saving.register_keras_serializable("dmg_tf")
class MASF(GroupedModel):
    """Asks, after a step on some sources, for classes as another has them.

    Dou, Castro, Kamnitsas and Glocker, "Domain Generalization via
    Model-Agnostic Learning of Semantic Features", NeurIPS 2019, Algorithm 1.
    Each step draws the source V that it holds out; S are the rest. Behind a
    virtual step θ' on S,

    1. the task: mean over S of L_d(θ), the mean cross entropy of a source;
    2. `global_loss` of the logits of S against V at θ';
    3. `local_loss` of a metric network's embeddings of the features at θ', for
       the first images of each source.

    The virtual step is plain, on the cross entropy *summed* over a source's
    images, each variable's gradient clipped to a norm; so it is about α times
    that norm long. As in the authors' code it is not differentiated: the
    gradients of 2 and 3 are taken at θ', clipped likewise, and handed on for θ.

    Differs: one optimiser with one rate, for one gradient at one θ, where the
    authors' three Adams run in no fixed order and the metric network gets two
    updates a step; sums over S are means, for any number of sources. The metric
    network stands on the features of any backbone and has the authors' widths.
    With batch normalisation the pass at θ' normalises all sources together;
    running statistics move by S alone. The authors' published numbers select
    the epoch on the target; here, as everywhere, the sources' validation does.

    What is behind the inner step is computed on the images of all replicas.

    Weights, besides the network's:
        metric_layers: The metric network, trained by `local_loss`.

    Randomness:
        Which source is held out is a function of seed and step.

    Raises:
        UserError: If there is one source only, or the metric network has no
            layer.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ask_for_two_sources(
            "holds out a source domain in each step and trains on the others"
        )
        units = self.options.masf_metric_units
        if not units or min(units) < 1:
            raise UserError(
                "--masf-metric-units must be widths of at least 1, got "
                f"{' '.join(map(str, units)) or 'none'}"
            )

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        self.metric_layers = []
        width = self.num_features
        for index, units in enumerate(self.options.masf_metric_units):
            layer = linear(f"metric.{index}", width, units, self.seed)
            layer.build((None, width))
            self.metric_layers.append(layer)
            width = units

    @property
    def metric_weights(self) -> list:
        """The trained variables of the metric network."""
        return [
            weight
            for layer in self.metric_layers
            for weight in layer.trainable_variables
        ]

    def metric_embedding(self, hidden):
        """[B, F] -> float32 [B, E], by the metric network."""
        for layer in self.metric_layers:
            hidden = tf.nn.leaky_relu(layer(hidden), SLOPE)
        return tf.cast(hidden, tf.float32)

    def objective(self, inputs, labels, weights=None):
        """Returns the task's loss and those behind the inner step."""
        # The last of the drawn order is held out.
        groups = self.groups(inputs, labels, weights, self.draw_order())
        trained = groups.at(slice(-1))
        task, logits, gradients = self.task_gradients(trained)
        values = values_of(self.network_weights())
        fast = self.inner_step(values, gradients, tf.shape(trained.labels)[1])
        losses, behind = self.meta_gradients(fast, groups)
        task = with_gradients(
            task,
            [*values, *values_of(self.metric_weights)],
            [*map(_sum, gradients, behind), *behind[len(values) :]],
        )
        options = self.options
        return Step(
            logits,
            {
                "cross_entropy": (1.0, task),
                "global": (options.masf_global, losses[0]),
                "local": (options.masf_local, losses[1]),
            },
            rows=flat(trained.rows),
        )

    def task_gradients(self, groups: Groups):
        """Returns the task's loss, its logits, and its gradients by θ."""
        sources = sources_of(self.network_weights())
        with tf.GradientTape() as tape:
            tape.watch(sources)
            logits = self.forward(
                {"image": flat(groups.images)}, training=True
            ).logits
            losses = mean_losses(self, groups, logits)
            task = tf.add_n(losses) / len(losses)
        return task, logits, tape.gradient(task, sources)

    def inner_step(self, values, gradients, size):
        """Returns θ', constants.

        Args:
            values: θ.
            gradients: The task's on this replica.
            size: Images of a source on this replica.
        """
        images = tf.cast(size * num_replicas(), tf.float32)
        gradients = self.clipped(
            [
                None if g is None else g * tf.cast(images, g.dtype)
                for g in mean_over_replicas(gradients)
            ]
        )
        rate = self.options.masf_inner_rate
        return [
            tf.stop_gradient(value) for value in moved(values, gradients, rate)
        ]

    def meta_gradients(self, fast, groups: Groups):
        """Returns the losses at θ', and their sum's clipped gradients.

        Args:
            fast: θ'.
            groups: The batch, V last.

        Returns:
            ((global, local), a gradient for each of θ and of the metric
            network's weights).
        """
        count = len(self.source_domains)
        sources = [*fast, *sources_of(self.metric_weights)]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            outputs = self.outputs_with(fast, {"image": flat(groups.images)})
            logits, hidden, labels, weights = on_all_replicas(
                groups,
                in_groups(outputs.logits, count),
                in_groups(outputs.hidden, count),
            )
            relations = global_loss(
                logits, labels, weights, self.options.masf_temperature
            )
            triplets = self._local(hidden, labels)
            total = (
                self.options.masf_global * relations
                + self.options.masf_local * triplets
            )
        gradients = tape.gradient(total, sources)
        return (
            (tf.stop_gradient(relations), tf.stop_gradient(triplets)),
            self.clipped(mean_over_replicas(gradients)),
        )

    def clipped(self, gradients):
        """Returns gradients of at most the allowed norm, each by itself."""
        return [
            None if g is None else tf.clip_by_norm(g, self.options.masf_clip)
            for g in gradients
        ]

    def _local(self, hidden, labels):
        """Returns the triplet loss of each domain's first images."""
        share = self.options.masf_metric_share or 1 / 3
        size = tf.cast(tf.shape(hidden)[1], tf.float32)
        first = tf.maximum(tf.cast(tf.floor(share * size), tf.int32), 2)
        labels = labels[:, :first]
        if len(labels.shape) == 3:
            labels = tf.argmax(labels, axis=-1)
        return local_loss(
            self.metric_embedding(flat(hidden[:, :first])),
            flat(labels),
            self.options.masf_margin,
        )


def _sum(*gradients):
    """Returns the sum of gradients, of which some may be None."""
    known = [g for g in gradients if g is not None]
    return tf.add_n(known) if known else None
