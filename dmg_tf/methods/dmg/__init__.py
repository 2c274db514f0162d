"""Domain-specific masks for generalization, the paper's method."""
