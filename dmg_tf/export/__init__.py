"""Writing a trained model for use without this package."""
