"""A link to a folder above itself, as archives and shared drives leave.

Right: each image counts once, in its own class; the link is told.
"""

from tests.conftest import write_images


def build(root, link="all", to=".."):
    """`a/cat/all` is a link to the domain's folder."""
    root = write_images(root, "abc", ("cat", "dog"), 10, size=32)
    (root / "a" / "cat" / link).symlink_to(to)
    return root
