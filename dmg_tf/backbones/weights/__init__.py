"""Weight files: finding, reading and loading them by torchvision's names."""
