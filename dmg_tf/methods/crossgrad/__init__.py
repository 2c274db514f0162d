"""CrossGrad: classes learned from images moved towards other domains."""
