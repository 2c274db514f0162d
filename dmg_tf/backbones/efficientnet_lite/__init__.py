"""The EfficientNets for small devices."""
