"""The task network with masks on the inputs of its stages."""

import keras

from dmg_tf.methods import task_network


# Keras files weights under the names of classes: this one is a saved model's.
class TaskNetwork(task_network.TaskNetwork):
    """The stages behind the first mask site, with masks on their inputs.

    Paper: Sec. 3.1 (T). Differs: nothing.

    Args:
        stages: Layers in the order of computation; the last gives logits.
        masks: {stage name: DomainMask}.

    Call arguments:
        features: [B, ...], what the feature extractor returned.
        domain_ids: int [B], handed to the masks.
        training: Whether masks are drawn and batch statistics used.
        scales: {stage name: [F] or [B, F]}, used by the masks instead of the
            domains' own soft masks; see `DomainMask`.
        with_hidden: As for `TaskNetwork`.
    """

    def __init__(self, stages, masks: dict[str, keras.layers.Layer], **kwargs):
        super().__init__(stages, **kwargs)
        self.masks = dict(masks)

    def call(
        self,
        features,
        domain_ids=None,
        training=False,
        scales=None,
        with_hidden=False,
    ):
        """Returns the logits, and what they were made of if asked."""
        hidden = self.hidden(features, domain_ids, training, scales)
        logits = self.stages[-1](hidden)
        return (logits, hidden) if with_hidden else logits

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
