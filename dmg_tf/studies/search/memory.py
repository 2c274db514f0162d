"""Giving back what a run leaves in memory, before the next one begins."""

import contextlib
import gc

import keras

# No public name of TensorFlow's leads there.
from tensorflow.python.framework.ops import gradient_registry

_TRACED = "CustomGradient-"


@contextlib.contextmanager
def forgotten_after():
    """Forgets all that Keras and TensorFlow keep of the block.

    Keras keeps layers' names and graphs. TensorFlow registers the gradient of
    each traced `tf.custom_gradient`, such as that of a mask's draw, for good;
    it holds the step's graph, and the graph all weights and their moments:
    some 150 MB a run of a ResNet-18. Nothing made in the block may be trained
    on afterwards.
    """
    before = set(gradient_registry.list())
    try:
        yield
    finally:
        for name in set(gradient_registry.list()) - before:
            if name.startswith(_TRACED):
                del gradient_registry._registry[name]
        keras.utils.clear_session(free_memory=False)
        gc.collect()
