"""Predicting images with a trained model."""
