"""The built-in dataset, which is drawn."""
