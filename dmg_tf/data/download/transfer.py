"""Downloading a file, which goes on where it was broken off."""

import hashlib
import http.client
import os
import pathlib
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from dmg_tf.files import writing

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30
_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")


class BrokenOff(Exception):
    """A server stopped sending."""


# What a server, or the way to it, can do wrong.
FAILURES = (OSError, ValueError, http.client.HTTPException, BrokenOff)


def download(
    url: str,
    part: pathlib.Path,
    size: int | None,
    advance: Callable[[int], None],
) -> None:
    """Downloads a file; what is there of it already is kept.

    A connection that breaks is made again as long as each one brings more.

    Args:
        url: Its address.
        part: Where to put it; bytes are appended as they come.
        size: Bytes it should have; None if that is not known.
        advance: Called with the number of bytes that came; less than 0 where
            the server sends from the beginning again.

    Raises:
        FAILURES: If the server does not have it all, or not of this size.
        UserError: If it can't be written.
    """
    while True:
        before = size_of(part)
        if size is not None and before > size:  # of another file, then
            _forget(part, advance)
            before = 0
        if before == size:
            return
        try:
            _append(url, part, size, advance)
            return
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException, BrokenOff):
            if size_of(part) <= before:
                raise


def size_of(path: pathlib.Path) -> int:
    """Returns the size of a file in bytes, 0 if it is not there."""
    return path.stat().st_size if path.exists() else 0


def _append(url, part, size, advance) -> None:
    before = size_of(part)
    asked = {"Range": f"bytes={before}-"} if before else {}
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=asked), timeout=_TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        if error.code != 416 or not before:
            raise
        if _range_of(error)[1] == before:
            return  # there is nothing behind what is here
        _forget(part, advance)
        _append(url, part, size, advance)
        return
    with response:
        begins, total = 0, response.headers.get("Content-Length")
        total = None if total is None else int(total)
        if response.status == 206:
            begins, total = _range_of(response)
        if begins not in (0, before):
            raise ValueError(f"it sent from byte {begins}, not {before}")
        if size is not None and total not in (None, size):
            raise ValueError(f"it has {total:,} bytes there, not {size:,}")
        if begins == 0:
            advance(-before)
        with writing(part), open(part, "ab" if begins else "wb") as file:
            for chunk in _chunks(response):
                file.write(chunk)
                advance(len(chunk))
    wanted = size if total is None else total
    if wanted is not None and size_of(part) != wanted:
        raise BrokenOff(
            f"the server sent {size_of(part):,} of {wanted:,} bytes"
        )


def _forget(part, advance) -> None:
    advance(-size_of(part))
    part.unlink()


def _chunks(response) -> Iterator[bytes]:
    """Yields what is sent; its failures are none of writing a file."""
    try:
        while chunk := response.read(_CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise BrokenOff(str(error) or type(error).__name__) from error


def _range_of(answer) -> tuple[int | None, int | None]:
    """Returns where what is sent begins, and the size of the whole file."""
    found = _RANGE.match(answer.headers.get("Content-Range", ""))
    if not found:
        return None, None
    return found[1] and int(found[1]), int(found[2])


def why_another(
    path: pathlib.Path, size: int | None, checksum: str | None
) -> str:
    """Returns how a file is another than the one that is meant; "" if it isn't.

    Args:
        path: The file.
        size: The bytes that it should have, or None.
        checksum: As of a `PublishedFile`.
    """
    if size is not None and os.path.getsize(path) != size:
        return f"it has {os.path.getsize(path):,} bytes, not {size:,}"
    if checksum is None:
        return ""
    kind, _, wanted = checksum.partition(":")
    with open(path, "rb") as file:
        actual = hashlib.file_digest(file, kind).hexdigest()
    if actual == wanted:
        return ""
    return f"its {kind.upper()} is {actual}, not {wanted}"
