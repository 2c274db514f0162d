"""D-MTAE: an autoencoder that rebuilds an image's counterpart in each domain."""
