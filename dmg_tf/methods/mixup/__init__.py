"""Mixup: images and labels of two domains, mixed."""
