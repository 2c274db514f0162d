"""Keras layers: domain masks, batch normalisation."""
