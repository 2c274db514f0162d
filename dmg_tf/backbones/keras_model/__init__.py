"""Functional Keras models as backbones."""
