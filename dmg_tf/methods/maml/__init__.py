"""MAML with the source domains as its tasks."""
