"""A run's images, made sure of before the first step."""

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import Bar, print_error
from dmg_tf.data.examples import DomainData
from dmg_tf.data.images.bad_images import find_bad_images
from dmg_tf.data.service.client import check_service
from dmg_tf.data.streams.cache import Files, make_cache
from dmg_tf.evaluation.scoring import load_data, naming_bad_images


def usable_data(config: RunConfig) -> tuple[DomainData, dict[str, str]]:
    """Lists a run's images, and tells what the user should know of them.

    Args:
        config: Resolved.

    Returns:
        The images, and {path: reason} of those that were left out because
        they can't be read; those are looked for with `--on-bad-image skip`.

    Raises:
        UserError: If the data is not there, is not as it should be, or can't
            be read by the data service.
    """
    data = load_data(config)
    if config.data_service:
        check_service(config.data_service, data.train.paths)
        print_error(
            f"note: the data service at {config.data_service} prepares the "
            "training images; with more than one of its workers the order of "
            "the batches, and so the result, is not repeatable"
        )
    for note in data.notes:
        print_error(f"note: {note}")
    if config.on_bad_image == "skip":
        return _without_bad_images(data)
    return data, {}


def filled_cache(config: RunConfig, data: DomainData) -> Files:
    """Returns the run's cache, with all images that each epoch needs."""
    cache = make_cache(config.cache, config.image_size, config.cache_dir)
    paths = cache.missing([*data.train.paths, *each_epoch(config, data)])
    if paths:
        with (
            Bar("decoding into the cache", len(paths), "images") as bar,
            naming_bad_images(paths),
        ):
            cache.fill(paths, bar.advance)
    return cache


def each_epoch(config: RunConfig, data: DomainData) -> list[str]:
    """Returns the files that are scored after each epoch."""
    target = data.out_of_domain.paths if config.track_target else ()
    return [*data.validation.paths, *target]


def _without_bad_images(data: DomainData):
    paths = []
    for split in (data.train, data.validation, data.test, data.out_of_domain):
        paths += split.paths if split is not None else ()
    with Bar("reading all images", len(paths), "images") as bar:
        bad = find_bad_images(paths, bar.advance)
    for path, reason in bad.items():
        print_error(f"left out {path}: {reason}")
    if bad:
        print_error(f"{len(bad)} unreadable images are left out")
        data = data.without(bad)
    return data, bad
