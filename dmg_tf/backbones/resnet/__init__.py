"""The ResNets."""
