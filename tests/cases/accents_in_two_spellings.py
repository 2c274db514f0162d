"""A class' accent in another Unicode form in one domain.

Right: one class, by whatever form.
"""

import unicodedata

from tests.conftest import write_images


def build(root, nfd="b"):
    """`café` is NFD, as macOS writes it, in some domains, NFC in others."""
    for domain in "abc":
        form = "NFD" if domain in nfd else "NFC"
        name = unicodedata.normalize(form, "caf\u00e9")
        write_images(root, domain, (name, "dog"), 10, size=32)
    return root
