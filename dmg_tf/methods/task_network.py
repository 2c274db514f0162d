"""The part of a network that masks act on."""

import keras


class TaskNetwork(keras.layers.Layer):
    """The stages behind the first mask site, with masks on their inputs.

    Paper: Sec. 3.1 (T). Differs: nothing.

    Args:
        stages: Layers in the order of computation; the last gives logits.
        masks: {stage name: DomainMask}, possibly empty.

    Call arguments:
        features: [B, ...], what the feature extractor returned.
        domain_ids: int [B], handed to the masks.
        training: Whether masks are drawn and batch statistics used.
        scales: {stage name: [F] or [B, F]}, used by the masks instead of the
            domains' own soft masks; see `DomainMask`.
    """

    def __init__(self, stages, masks=None, **kwargs):
        super().__init__(**kwargs)
        self.stages = list(stages)
        self.masks = dict(masks or {})

    def call(self, features, domain_ids=None, training=False, scales=None):
        """Returns logits [B, C]."""
        x = self.hidden(features, domain_ids, training, scales)
        return self.stages[-1](x)

    def hidden(self, features, domain_ids=None, training=False, scales=None):
        """Returns what the last stage takes, masked already: [B, F].

        The arguments are those of a call.
        """
        x = features
        for stage in self.stages:
            if stage.name in self.masks:
                x = self.masks[stage.name](
                    x,
                    domain_ids=domain_ids,
                    training=training,
                    scale=scales and scales[stage.name],
                )
            if stage is not self.stages[-1]:
                x = stage(x)
        return x
