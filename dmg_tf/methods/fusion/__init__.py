"""Fusion: a classifier a domain, mixed by how much an image is like each."""
