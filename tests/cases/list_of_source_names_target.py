"""A source's list names images of the target.

Right: no training; the line names list, line and image.
"""

from tests.cases.lists import write_lists


def build(root):
    """a_train_kfold.txt ends with two lines of c."""

    def add(lines, domain, split):
        extra = ["c/cat/0.png 1", "c/dog/0.png 2"]
        return lines + extra * ((domain, split) == ("a", "train"))

    return write_lists(root, add)
