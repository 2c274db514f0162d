"""Two splits share images under two spellings.

Right: paths are compared as files; `./` before every line is no error.
"""

from tests.cases.lists import write_lists


def build(root, spelled="./a/{}/0.png"):
    """a_crossval_kfold.txt names by another spelling what a's train names."""

    def change(lines, domain, split):
        if (domain, split) != ("a", "crossval"):
            return lines
        return [f"{spelled.format(n)} {i}" for i, n in ((1, "cat"), (2, "dog"))]

    return write_lists(root, change)
