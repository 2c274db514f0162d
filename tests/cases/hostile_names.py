"""Names of domains and classes that are keys, paths and words of our own.

Right: train, evaluate, export, predict and report with all of them.
"""

from tests.conftest import write_images

LONG = "l" * 200
DOMAINS = ("mean", "__proto__", "a:b=c,d+e 50% <b>&'\"[x]", "-target")
CLASSES = ("overall", "__proto__", "class, a\\b", "k" * 250)


def build(root):
    """Four domains and classes, 3 images each."""
    return write_images(root, DOMAINS, CLASSES, 3, size=16)
