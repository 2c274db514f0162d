"""ImageNet weights by the name of a backbone: downloaded, or from a package."""

import hashlib
import http.client
import importlib.util
import os
import urllib.request
from pathlib import Path

from dmg_tf.backbones.spec import Download, Package
from dmg_tf.backbones.weights.untrusted import one_line
from dmg_tf.console.bar import Bar
from dmg_tf.errors import UserError, missing_extra
from dmg_tf.files import user_folder, whole_file
from dmg_tf.registry import BACKBONES

URL_VARIABLE = "DMG_TF_WEIGHTS_URL"

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30


def sha256_of(path: str | Path) -> str:
    """Returns the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fetch_imagenet(
    backbone: str,
    *,
    cache_dir: str | Path | None = None,
    base_url: str | None = None,
) -> Path:
    """Returns the file of a backbone's ImageNet weights; downloads it at need.

    A file in the cache is checked by its SHA-256 and used without a network.

    Args:
        backbone: Name of the backbone.
        cache_dir: Holds the folder `models` of downloaded files. Default:
            Keras' (`$KERAS_HOME`, or `~/.keras`).
        base_url: Folder of the files, in place of the one that the backbone
            names. The environment variable `DMG_TF_WEIGHTS_URL`, for mirrors,
            goes before it.

    Raises:
        UserError: If the backbone has no ImageNet weights, or they cannot be
            had; then the message says which file to put where.
    """
    source = BACKBONES[backbone].imagenet
    if isinstance(source, Package):
        return _packaged_file(backbone, source)
    if source is None:
        known = [n for n in BACKBONES.names() if BACKBONES[n].imagenet]
        raise UserError(
            f"there are no ImageNet weights for {backbone!r}, only for: "
            f"{', '.join(known)}. Pass --weights PATH or --weights none"
        )
    folder, _, name = source.url.rpartition("/")
    folder = os.environ.get(URL_VARIABLE) or base_url or folder
    url = f"{folder.rstrip('/')}/{name}"
    target = place_of_imagenet(backbone, cache_dir)
    try:
        if not (target.is_file() and _hash_fault(target, source) is None):
            _download(url, target, source)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot get ImageNet weights from {url} ({one_line(error)}); "
            f"put that file at {target}, or pass --weights PATH or "
            "--weights none"
        ) from error
    return target


def place_of_imagenet(
    backbone: str, cache_dir: str | Path | None = None
) -> Path | None:
    """Returns where a backbone's ImageNet weights are, or will be.

    Args:
        backbone: Name of the backbone.
        cache_dir: As for `fetch_imagenet`.

    Returns:
        None where they are no file that is known by name, or in a package that
        is not installed.
    """
    source = BACKBONES[backbone].imagenet
    if isinstance(source, Package):
        # Not imported: only its folder is wanted.
        spec = importlib.util.find_spec(source.module)
        return spec and Path(spec.origin).parent / source.path
    if not isinstance(source, Download):
        return None
    home = cache_dir or user_folder(
        "KERAS_HOME", ".keras", ", or give --weights PATH"
    )
    name = source.url.rpartition("/")[2]
    return Path(home).expanduser() / "models" / name


def _packaged_file(backbone: str, source: Package) -> Path:
    path = place_of_imagenet(backbone)
    if path is None:
        missing = missing_extra(
            f"the ImageNet weights of {backbone} are in the package "
            f"{source.name}, not installed",
            source.extra,
        )
        raise UserError(f"{missing} (or pass --weights PATH or --weights none)")
    fault = _hash_fault(path, source) if path.is_file() else "missing"
    if fault:
        raise UserError(f"{path}: {fault}; reinstall {source.name}")
    return path


def _hash_fault(path: Path, source: Download | Package) -> str | None:
    """Returns what is wrong with the file's hash, or None."""
    wanted, actual = source.sha256, sha256_of(path)
    if actual.startswith(wanted):
        return None
    return f"its SHA-256 starts with {actual[: len(wanted)]}, not {wanted}"


def _download(url: str, target: Path, source: Download) -> None:
    """Downloads a file; it appears under its name when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response,
        whole_file(target) as part,
    ):
        length = response.headers.get("Content-Length")
        length = int(length) if length else None
        with open(part, "xb") as file:
            _copy(response, file, length, url)
        received = part.stat().st_size
        if length is not None and received != length:
            raise OSError(f"the server sent {received} of {length} bytes")
        if fault := _hash_fault(part, source):
            raise OSError(fault)


def _copy(response, file, length: int | None, url: str) -> None:
    with Bar("downloading", length, "bytes") as bar:
        bar.print(f"downloading {url}")
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.advance(len(chunk))
