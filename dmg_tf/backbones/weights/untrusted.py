"""Reading files that may lie about their sizes and their names."""

import io
from typing import Any

from dmg_tf.errors import UserError

# The largest record but numbers that is read; a ResNet-50's pickle has 40 kB.
MAX_READ = 1 << 20


def one_line(value: Any) -> str:
    """Returns text out of a file as one short line, safe for a terminal."""
    text = " ".join(str(value).split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 120 else text[:117] + "..."


class BoundedReader(io.BufferedReader):
    """A file that refuses to read much at once.

    `zipfile` and `pickletools` believe the lengths that a file declares, and
    Python allocates a read before it looks whether the file is that long.

    Args:
        path: File to open.
    """

    def __init__(self, path):
        super().__init__(io.FileIO(path))
        self.size = self.seek(0, io.SEEK_END)
        self.seek(0)

    def read(self, size=-1):
        """Reads up to `size` bytes, if the file holds no more than allowed."""
        left = max(self.size - self.tell(), 0)
        size = left if size is None or size < 0 else min(size, left)
        if size > MAX_READ:
            raise UserError(f"a record of {size} bytes, more than weights need")
        return super().read(size)

    def readline(self, size=-1):
        """Reads a line, or as much of it as is allowed."""
        return super().readline(MAX_READ)
