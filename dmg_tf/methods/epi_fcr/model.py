"""Epi-FCR: a network whose halves work with partners of other domains."""

import functools

import keras
import tensorflow as tf

from dmg_tf.backbones.blocks import NetworkSpec, classifier, place_seed
from dmg_tf.methods.by_domain import flat, in_groups, mean_losses
from dmg_tf.methods.epi_fcr.spec import SPEC
from dmg_tf.methods.grouped import GroupedModel
from dmg_tf.methods.inner_steps import values_of
from dmg_tf.methods.networks_beside import load_beside, network_beside
from dmg_tf.methods.steps import Step


@keras.saving.register_keras_serializable("dmg_tf")
class EpiFCR(GroupedModel):
    """Trains features and classifier, each beside a partner of another domain.

    Li, Zhang, Yang, Liu, Song and Hospedales, "Episodic Training for Domain
    Generalization", ICCV 2019. f is the network up to its last layer, the
    classifier h. Each source d has a whole network f_d, h_d of its own, trained
    on its images alone; h_r is a classifier with random weights that nothing
    trains. A step draws two sources, i and j, and minimises

        Σ_d L_d(h∘f) + w_f L_i(h_j∘f) + w_c L_i(h∘f_j) + w_r Σ_d L_d(h_r∘f)

    where L_d is the mean cross entropy of a source's images; w_f's and w_r's
    terms train f alone, w_c's trains h alone. Before a share of the run is done
    the last three do not count (`epi_fcr_warm_up`).

    Differs: all networks take one step, at the weights before it and on the
    same images; the authors let the domains' networks step first and draw
    further images. The warm-up is their share of a run, not their 501 steps.
    Batch normalisation trains as in other methods, where theirs keeps
    ImageNet's statistics; f_j, as a partner, normalises by the statistics it
    has gathered on j, and does not drop out. Images are augmented as for other
    methods; theirs are not.

    The reported cross entropy is the mean over sources of L_d(h∘f); the other
    terms are reported with their sums, without their weights.

    Memory: D further networks with their optimiser's state, as much as D + 1
    runs of Aggregate have. They are kept in checkpoints and `model.keras`, and
    are no part of an export.

    Weights, besides the network's:
        domain_networks: A network a source.
        random_classifier: h_r: not trained, kept all the same, as another one
            after a resume would be another problem.

    Randomness:
        The pair of sources of a step is a function of seed and step.

    Raises:
        UserError: If there is one source only.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ask_for_two_sources(
            "lends features and classifiers from one source domain to another"
        )

    def begins_at(self, network):
        """Returns the last layer: the classifier."""
        return network.stages[-1].name

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        self.domain_networks = [
            network_beside(self, f"domain_{index}")
            for index in range(len(self.source_domains))
        ]
        # PyTorch's start for h_r whatever `classifier_init` says: N(0, 0.001)
        # would make its term vanish.
        self.random_classifier = classifier(
            "random_classifier",
            self.num_features,
            NetworkSpec(
                self.num_classes,
                seed=place_seed("random_classifier", self.seed),
            ),
        )
        self.random_classifier.build((None, self.num_features))
        self.random_classifier.trainable = False

    def load_torchvision(self, state_dict, source: str = "state_dict") -> None:
        """Loads weights; the domains' own networks start from them too.

        Args:
            state_dict: {name: array}, as torchvision saves it.
            source: What to call it in errors.

        Raises:
            UserError: As for `DomainModel`.
        """
        super().load_torchvision(state_dict, source)
        load_beside(self.domain_networks, state_dict, source)

    def objective(self, inputs, labels, weights=None):
        """Returns all terms of a step."""
        count = len(self.source_domains)
        groups = self.groups(inputs, labels, weights)
        losses = functools.partial(mean_losses, self)
        logits, hidden, _ = self.forward(
            {"image": flat(groups.images)}, training=True
        )
        own = [
            network.forward({"image": groups.images[d]}, training=True).logits
            for d, network in enumerate(self.domain_networks)
        ]
        order = self.draw_order()
        chosen, partner = order[0], order[1]
        episode = groups.at(chosen).alone()
        by_partner = self._by_classifier_of(
            partner, in_groups(hidden, count)[chosen]
        )
        of_partner = self.task_network(
            self._features_of(partner, episode.images[0])
        )
        by_random = self.random_classifier(hidden)
        options, episodic = self.options, self._episodic()
        return Step(
            logits,
            {
                "cross_entropy": (
                    float(count),
                    tf.add_n(losses(groups, logits)) / count,
                ),
                "feature": (
                    options.epi_fcr_feature * episodic,
                    losses(episode, _float32(by_partner))[0],
                ),
                "classifier": (
                    options.epi_fcr_classifier * episodic,
                    losses(episode, _float32(of_partner))[0],
                ),
                "random": (
                    options.epi_fcr_random * episodic,
                    tf.add_n(losses(groups, _float32(by_random))),
                ),
                "domains": (
                    1.0,
                    tf.add_n(losses(groups, tf.concat(own, axis=0))),
                ),
            },
            rows=flat(groups.rows),
        )

    def _episodic(self):
        """Returns 1 when the warm-up is over, else 0."""
        if not self.options.epi_fcr_warm_up:
            return 1.0
        return tf.cast(
            self.progress >= self.options.epi_fcr_warm_up, tf.float32
        )

    def _by_classifier_of(self, domain, hidden):
        """[N, F] -> [N, C], by the classifier of a domain, as it is."""
        weights = [
            values_of(network.network_weights("task_network"))
            for network in self.domain_networks
        ]
        values = [
            tf.stop_gradient(tf.gather(tf.stack(each), domain))
            for each in zip(*weights, strict=True)
        ]
        return self.logits_with(values, hidden, "task_network")

    def _features_of(self, domain, images):
        """[N, H, W, 3] -> [N, F], by the network of a domain, as it is."""
        features = tf.switch_case(
            domain,
            [
                functools.partial(
                    network.feature_extractor, images, training=False
                )
                for network in self.domain_networks
            ],
        )
        return tf.stop_gradient(features)


def _float32(logits):
    return tf.cast(logits, tf.float32)
