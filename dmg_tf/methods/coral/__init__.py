"""CORAL: features with the same mean and covariance in all domains."""
