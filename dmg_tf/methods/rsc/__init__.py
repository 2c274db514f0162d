"""RSC: classes learned without the features that tell them best."""
