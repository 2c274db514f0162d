"""MixStyle: images that borrow the style of others on their way through."""

import keras

from dmg_tf.backbones.blocks import place_seed
from dmg_tf.backbones.cutting import cut_before
from dmg_tf.errors import UserError
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.mixstyle.mix import StyleMixer
from dmg_tf.methods.mixstyle.spec import SPEC


class MixedStages(keras.layers.Layer):
    """Stages with mixers of styles among them.

    Args:
        stages: Layers in the order of computation.

    Call arguments:
        images: [B, H, W, 3], normalised.
        domain_ids: int [B], handed to the mixers.
        training: As for the stages.
    """

    def __init__(self, stages, **kwargs):
        super().__init__(**kwargs)
        self.stages = list(stages)

    @property
    def layers(self):
        """The stages, the mixers included."""
        return self.stages

    def call(self, images, domain_ids=None, training=False):
        """Returns what the last stage does."""
        x = images
        for stage in self.stages:
            if isinstance(stage, StyleMixer):
                x = stage(x, domain_ids=domain_ids, training=training)
            else:
                x = stage(x, training=training)
        return x


@keras.saving.register_keras_serializable("dmg_tf")
class MixStyle(DomainModel):
    """Trains on all sources, with styles mixed between early stages.

    Zhou, Yang, Qiao and Xiang, "Domain Generalization with MixStyle", ICLR
    2021; see `StyleMixer`. Each place draws its own coin, shares and partners.
    The authors' places on PACS, ResNet-18, are behind layer1, layer2 and
    layer3, here the inputs of layer2 to layer4; on AlexNet it is behind the
    first two convolutions, pooled, and on EfficientNet-Lite0 where its maps are
    of the ResNet's sizes, which are our choices.

    Differs: optimiser, rate and length are those of the dataset's preset, not
    the authors' SGD over 50 epochs (150 with partners of other domains).
    Accuracy and loss in training are of the mixed images.

    A model that predicts, and an export, has no mixing and no weight more than
    the plain network.

    Raises:
        UserError: If a place is unknown, or there is no map.
    """

    spec = SPEC

    @property
    def learns_domains(self):
        """Whether a step needs the domain of each image."""
        return self.options.mixstyle_partners == "crossdomain"

    def stages_of(self, network):
        """Returns the stages, with a mixer before each of the places."""
        options = self.options
        sites = (
            options.mixstyle_sites
            or network.style_sites
            or (network.stages[1].name,)
        )
        stages = []
        for stage in cut_before(network.stages, sites, self.backbone):
            if stage.name in sites:
                last = stage is network.stages[-1]
                if last or len(stage.input.shape) != 4:
                    raise UserError(
                        f"--mixstyle-sites: {self.backbone} has no map on the "
                        f"input of {stage.name!r}, whose style could be mixed"
                    )
                name = f"mix_before_{stage.name}"
                stages.append(
                    StyleMixer(
                        options.mixstyle_probability,
                        options.mixstyle_alpha,
                        options.mixstyle_partners,
                        seed=place_seed(name, self.seed),
                        name=name,
                    )
                )
            stages.append(stage)
        return stages

    def begins_at(self, network):
        """Returns the last layer: all before it is one part."""
        return network.stages[-1].name

    def make_feature_extractor(self, stages):
        """Returns the feature extractor with its mixers."""
        return MixedStages(stages, name="feature_extractor")

    def entry(self, inputs, training=False):
        """Returns what the last layer takes: [B, F]."""
        inputs = self.as_inputs(inputs)
        mixes_domains = training and self.learns_domains
        return self.feature_extractor(
            inputs["image"],
            domain_ids=self.domain_ids_of(inputs) if mixes_domains else None,
            training=training,
        )

    def describe(self):
        """Returns a line on the places, for the plan of a run."""
        sites = [
            stage.name.removeprefix("mix_before_")
            for stage in self.feature_extractor.stages
            if isinstance(stage, StyleMixer)
        ]
        return (f"styles are mixed on the inputs of {', '.join(sites)}",)
