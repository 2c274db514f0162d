"""How pixels are normalised where a backbone says nothing else."""

# ImageNet statistics of RGB in [0, 1], as torchvision's weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
