"""A note beside the domains that is called as a list of DomainNet's or PACS'.

Right: the folders are read; why, and how else, is told.
"""

from tests.conftest import write_images

PROSE = "How we trained last year: see the wiki.\n"


def build(root, name="README_train.txt", text=PROSE):
    """Domains a, b and c, and a text file."""
    root = write_images(root, "abc", ("cat", "dog"), 10, size=32)
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return root
