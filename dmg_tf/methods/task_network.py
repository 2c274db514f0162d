"""The part of a network that methods change."""

import keras


class TaskNetwork(keras.layers.Layer):
    """The stages behind the feature extractor.

    Paper: Sec. 3.1 (T). Differs: nothing.

    Args:
        stages: Layers in the order of computation; the last gives logits.

    Call arguments:
        features: [B, ...], what the feature extractor returned.
        training: Whether batch statistics and dropout are as in training.
        with_hidden: Whether to return what the last stage took, too.

    Returns:
        Logits [B, C], or (logits, hidden [B, F]).
    """

    def __init__(self, stages, **kwargs):
        super().__init__(**kwargs)
        self.stages = list(stages)

    def call(self, features, training=False, with_hidden=False):
        """Returns the logits, and what they were made of if asked."""
        hidden = self.hidden(features)
        logits = self.stages[-1](hidden)
        return (logits, hidden) if with_hidden else logits

    def hidden(self, features):
        """Returns what the last stage takes: [B, F]."""
        x = features
        for stage in self.stages[:-1]:
            x = stage(x)
        return x
