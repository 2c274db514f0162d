"""A class whose folder begins with two underscores.

Right: it is a class as any other.
"""

from tests.conftest import write_images


def build(root):
    """Three classes, `__background__` among them."""
    names = ("__background__", "cat", "dog")
    return write_images(root, "abc", names, 10, size=32)
