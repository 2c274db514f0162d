"""TF-CNN: kernels of all domains as one tensor of low rank."""
