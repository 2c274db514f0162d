"""SagNet: a network that can't tell classes by their images' style."""

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import (
    NetworkSpec,
    layers_of,
    place_seed,
    torchvision_entries,
)
from dmg_tf.backbones.cutting import cut_before
from dmg_tf.layers.batch_norm import batch_norms
from dmg_tf.layers.replica_random import permutation, uniform
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.in_place import ValuesInPlace
from dmg_tf.methods.inner_steps import (
    sources_of,
    values_of,
    with_gradients,
)
from dmg_tf.methods.replicas import mean_over_replicas
from dmg_tf.methods.sagnet.randomise import (
    with_mixed_style,
    with_other_content,
)
from dmg_tf.methods.sagnet.spec import SPEC
from dmg_tf.methods.steps import Step, accuracy, mean_loss
from dmg_tf.methods.task_network import TaskNetwork
from dmg_tf.registry import BACKBONES

STYLE = "style"


@keras.saving.register_keras_serializable("dmg_tf")
class SagNet(DomainModel):
    """Trains on content, and early layers against a network that sees style.

    Nam, Lee, Park, Yoon and Yoo, "Reducing Domain Gap by Reducing Style Bias",
    CVPR 2021. One stage parts the network: f before it, g behind it, and a
    style network s, a copy of g with a classifier of its own. A step minimises

    1. CE(y) of g on maps of f whose styles are mixed, over f and g;
    2. CE(y) of s on maps that have an image's style and another's content, over
       s alone;
    3. λ_adv times the mean over classes of -log(p + 1e-5), p what s says of the
       maps of 2, over the scales and offsets of f's batch normalisation (of all
       of f, where there is none): s should learn nothing from styles. This
       gradient is clipped to a norm.

    Differs: all three gradients are taken at the same weights, and their sum is
    one optimiser's step, where the authors have three optimisers: f's content
    and adversary share moments. Optimiser, rate, length and dropout are those
    of other methods, not the authors' SGD of 4e-3 with dropout 0.5. s starts
    from the pretrained weights, as g does. Partners are of the whole batch of
    all replicas, and so is the clipped norm.

    `sagnet_form="domainbed"` is DomainBed's algorithm: the parting is before
    the last layer, where a style is mean and variance over an image's features;
    the three updates follow one another, each from fresh draws and what the one
    before left; the adversary trains all of f, unclipped, with -log p. Its f
    and g have the main optimiser, s one of its own. Running statistics move by
    the first pass alone, and the adversary's update does not count as a step,
    neither for a schedule nor for Adam's correction of its first moments.

    Accuracy in training is that of 1, on images of mixed style.

    Weights, besides the network's:
        style_network: s, for training alone.

    Randomness:
        Partners and shares are functions of the seed, the number of draws
        before, and the row in the batch of all replicas; a run's checkpoint
        keeps their number.
    """

    spec = SPEC

    def stages_of(self, network):
        """Returns the stages, one of them beginning at the split."""
        split = self.begins_at(network)
        return cut_before(network.stages, [split], self.backbone)

    def begins_at(self, network):
        """Returns the stage before which content and style part."""
        if self.options.sagnet_form == "domainbed":
            return network.stages[-1].name
        # The second of a ResNet's is the authors'.
        usual = network.style_sites[:2] or (network.stages[1].name,)
        return self.options.sagnet_split or usual[-1]

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        name = "style_network"
        # The layers of a stage are built without their parents' names.
        with keras.name_scope(name):
            network = BACKBONES[self.backbone](
                NetworkSpec(
                    self.num_classes,
                    self.dropout,
                    self.classifier_init,
                    place_seed(name, self.seed),
                    self.image_size,
                )
            )
            behind = len(self.task_network.stages)
            stages = self.stages_of(network)[-behind:]
            self.style_network = TaskNetwork(stages, name=name)
            size = self.image_size
            features = self.feature_extractor(keras.Input((size, size, 3)))
            self.style_network(features, training=False)
        self.seed_generator = keras.random.SeedGenerator(
            place_seed("styles", self.seed)
        )

    def load_torchvision(self, state_dict, source: str = "state_dict") -> None:
        """Loads weights; the style network starts from them too.

        Args:
            state_dict: {name: array}, as torchvision saves it.
            source: What to call it in errors.

        Raises:
            UserError: As for `DomainModel`.
        """
        from dmg_tf.backbones.weights.loading import assign_torchvision

        super().load_torchvision(state_dict, source)
        entries = self.style_entries()
        assign_torchvision(
            entries,
            {name: x for name, x in state_dict.items() if name in entries},
            classifier=self.classifier_entries,
            source=source,
        )

    def style_entries(self):
        """Returns {torchvision's name: (variable, axes)} of s."""
        return torchvision_entries(
            layers_of(self.style_network.stages), self.entry_prefix
        )

    def trained_apart(self):
        """Returns the style network, if it has updates of its own."""
        if self.options.sagnet_form == "authors":
            return {}
        return {STYLE: self.style_network.trainable_variables}

    @property
    def adversary_weights(self) -> list:
        """The variables of f that the style network's answers change."""
        whole = self.feature_extractor.trainable_variables
        if self.options.sagnet_form == "domainbed":
            return whole
        scales = [
            variable
            for layer in batch_norms([self.feature_extractor])
            for variable in layer.trainable_variables
        ]
        return scales or whole

    def partners(self, rows):
        """Draws a partner for each image, int32 [B], none twice."""
        return permutation(rows, self.seed_generator)

    def shares(self, rows):
        """Draws how much each image keeps of its own style, float32 [B]."""
        return uniform([rows], self.seed_generator)

    def objective(self, inputs, labels, weights=None):
        """Returns all terms of a step of the authors' form."""
        variables = self.adversary_weights
        sources = sources_of(variables)
        with tf.GradientTape() as early:
            early.watch(sources)
            maps = self.entry(inputs, training=True)
            # Their content is drawn first.
            other = with_other_content(maps, self.partners(tf.shape(maps)[0]))
        with tf.GradientTape(watch_accessed_variables=False) as late:
            seen = tf.stop_gradient(other)
            late.watch(seen)
            style_logits = self._by_style(seen)
            adversary = self._adversary(style_logits, weights)
            weighted = self.options.sagnet_weight * adversary
            # 16 bits need the optimiser's scale all the way to the variables.
            scaled = self.optimizer.scale_loss(weighted)
        gradients = early.gradient(
            other, sources, output_gradients=late.gradient(scaled, seen)
        )
        scale = self.optimizer.scale_loss(tf.ones([]))
        gradients = self.clipped(
            [
                None if g is None else g / tf.cast(scale, g.dtype)
                for g in gradients
            ]
        )
        content = self._content(maps, labels, weights)
        content.terms["style_loss"] = (
            1.0,
            self.cross_entropy(labels, style_logits, weights),
        )
        content.terms["adversary"] = (
            1.0,
            with_gradients(weighted, values_of(variables), gradients),
        )
        return Step(
            content.logits,
            content.terms,
            # Without its weight, as a term of no weight would be.
            {
                "adversary": adversary,
                "style_accuracy": accuracy(labels, style_logits),
            },
        )

    def train_step(self, data):
        """Updates the weights with one batch, in one step or in three."""
        if self.options.sagnet_form == "authors":
            return super().train_step(data)
        inputs, labels, weights = self.unpack(data)

        def by_content():
            return self._content(
                self.entry(inputs, training=True), labels, weights
            )

        def by_style():
            logits = self._by_style(self._other_content(inputs))
            loss = self.cross_entropy(labels, logits, weights)
            return Step(
                logits,
                {"style_loss": (1.0, loss)},
                {"style_accuracy": accuracy(labels, logits)},
            )

        def against_style():
            logits = self._by_style(self._other_content(inputs))
            loss = self._adversary(logits, weights)
            return Step(
                logits, {"adversary": (self.options.sagnet_weight, loss)}
            )

        content = self.minimise(by_content)
        style = self.minimise(by_style, optimizer=STYLE)
        done = tf.identity(self.optimizer.iterations)
        adversary = self.minimise(against_style, self.adversary_weights)
        self.optimizer.iterations.assign(done)
        return self.track(
            inputs, labels, content, style, adversary, weights=weights
        )

    def clipped(self, gradients):
        """Returns the replicas' mean gradients, of at most the norm allowed."""
        gradients = mean_over_replicas(gradients)
        return tf.clip_by_global_norm(gradients, self.options.sagnet_clip)[0]

    def _content(self, maps, labels, weights):
        """Returns the content's part of a step; draws partners, then shares."""
        rows = tf.shape(maps)[0]
        partners = self.partners(rows)
        mixed = with_mixed_style(maps, partners, self.shares(rows))
        logits = tf.cast(self.task_network(mixed, training=True), tf.float32)
        loss = self.cross_entropy(labels, logits, weights)
        return Step(logits, {"cross_entropy": (1.0, loss)})

    def _other_content(self, inputs):
        """Returns features of other content, by a further pass of f."""
        # What is drawn and counted in the pass is that of the first one.
        with ValuesInPlace([], []):
            features = self.entry(inputs, training=True)
        return with_other_content(
            features, self.partners(tf.shape(features)[0])
        )

    def _by_style(self, maps):
        return tf.cast(self.style_network(maps, training=True), tf.float32)

    def _adversary(self, logits, weights):
        """Returns how far from uniform the style network's answers are."""
        if self.options.sagnet_form == "domainbed":
            logs = tf.nn.log_softmax(logits)
        else:
            logs = tf.math.log(tf.nn.softmax(logits) + 1e-5)
        return mean_loss(-tf.reduce_mean(logs, axis=-1), weights)
