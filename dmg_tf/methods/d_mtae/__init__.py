"""D-MTAE: an autoencoder that rebuilds what an image is in each domain."""
