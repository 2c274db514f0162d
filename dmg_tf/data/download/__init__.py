"""Getting a dataset from where it is published."""
