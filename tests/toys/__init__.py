"""A method, a dataset and a backbone that live in the tests alone."""

import contextlib
import pathlib

from dmg_tf.registry import BACKBONES, DATASETS, METHODS

PLACES = {
    "methods": ("experts", "tests.toys.method:SPEC"),
    "datasets": ("flat", "tests.toys.dataset:SPEC"),
    "backbones": ("dots", "tests.toys.backbone:SPEC"),
}


@contextlib.contextmanager
def known():
    """Knows all three for a while, by one line each."""
    with contextlib.ExitStack() as stack:
        for registry, kind in (
            (METHODS, "methods"),
            (DATASETS, "datasets"),
            (BACKBONES, "backbones"),
        ):
            stack.enter_context(registry.with_name(*PLACES[kind]))
        yield


def write_package(folder: pathlib.Path, places=PLACES) -> None:
    """Writes what pip leaves of a package that adds all three, or others."""
    info = folder / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[dmg_tf.{kind}]\n{name} = {path}\n"
            for kind, (name, path) in places.items()
        )
    )
