"""Lists as editors on Windows save them: a byte order mark, CR LF.

Right: read as without.
"""

from tests.cases.lists import write_lists


def build(root, encoding="utf-8-sig", line_end="\r\n"):
    """Writes all lists again, in another encoding."""
    root = write_lists(root)
    for path in (root / "splits").iterdir():
        text = path.read_text("utf-8").replace("\n", line_end)
        path.write_bytes(text.encode(encoding))
    return root
