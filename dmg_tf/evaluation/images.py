"""A run's images: listed, made sure of, and as streams for its model."""

import contextlib
import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import Bar, print_error
from dmg_tf.data import check_data, detect_dataset, image_root
from dmg_tf.data.examples import DomainData, Examples, first_few
from dmg_tf.data.images.bad_images import bad_image_error, find_bad_images
from dmg_tf.data.names import NO_TARGET, nfc
from dmg_tf.data.service.client import (
    check_service,
    not_for_service,
    undecodable_path,
)
from dmg_tf.data.streams.cache import default_folder, make_cache
from dmg_tf.data.streams.evaluation import (
    ImageSpec,
    evaluation_dataset,
    few_images,
)
from dmg_tf.data.streams.features import (
    FeatureCache,
    FeatureStream,
    weights_key,
)
from dmg_tf.data.streams.kept_files import damaged_path
from dmg_tf.data.streams.mixing import Mixing
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.devices.devices import Devices
from dmg_tf.errors import UserError
from dmg_tf.evaluation.new_site import site_alone
from dmg_tf.registry import DATASETS, METHODS

# An unreadable image is most likely among the batches that were being made.
_STEPS_AHEAD = 4


class RunImages:
    """A run's images as streams, prepared for its model.

    Args:
        config: Resolved.
        data: The images.
        model: A `DomainModel`.

    Attributes:
        spec: How an image file becomes the network's input.
    """

    def __init__(self, config: RunConfig, data: DomainData, model):
        self.config, self.data = config, data
        self.spec = ImageSpec(
            config.image_size, model.mean, model.std, augmentation(config)
        )
        self._model = model
        self._cache = make_cache(
            config.cache, config.image_size, config.cache_dir
        )
        self._kept = frozenset()

    @functools.cached_property
    def _features(self) -> FeatureCache | None:
        """What a frozen part gives; None where all of the network learns."""
        if self.config.train == "all":
            return None
        return _feature_cache(self.config, self.spec, self._model)

    def fill_cache(self) -> None:
        """Computes once what each epoch needs, where that is kept.

        Raises:
            UserError: If an image can't be read, or there is no room.
        """
        if self._features is not None:
            self._fill_features()
            return
        paths = [*self.data.train.paths, *self._each_epoch()]
        missing = self._cache.missing(paths)
        if missing:
            with (
                Bar("decoding into the cache", len(missing), "images") as bar,
                naming_bad_images(missing),
            ):
                self._cache.fill(missing, bar.advance)
        self._kept = frozenset(paths)

    def _fill_features(self) -> None:
        missing = self._features.missing(
            self.data.train.paths, self._each_epoch()
        )
        if missing:
            paths = list(dict.fromkeys(path for path, _ in missing))
            title = "computing the frozen part"
            with (
                Bar(title, len(missing), "images") as bar,
                naming_bad_images(paths),
            ):
                self._features.fill(missing, bar.advance)

    def training(self, devices: Devices) -> TrainingStream:
        """Returns the batches to learn from.

        Args:
            devices: What shares them out.
        """
        config, data = self.config, self.data
        num_domains = len(data.source_domains)
        # The workers of a service can't see what this process keeps.
        seen = config.cache == "disk" or not config.data_service
        settings = {
            "examples": data.train,
            "batch_size": devices.even_batch(
                config.batch_size,
                len(data.train),
                num_domains if config.by_domain else 1,
            ),
            "seed": config.seed,
            "sampling": config.sampling,
            "num_domains": num_domains,
            "mixing": self._mixing(),
        }
        if self._features is not None:
            return FeatureStream(self._features, **settings)
        return TrainingStream(
            spec=self.spec,
            images=self._cache if seen else None,
            service=config.data_service,
            **settings,
        )

    def _mixing(self) -> Mixing | None:
        config = self.config
        if config.mix == "none":
            return None
        return Mixing(
            config.mix,
            config.mix_alpha,
            len(self.data.class_names),
            # What has two domains would be learned as of one.
            within_domains=self._model.learns_domains or config.by_domain,
        )

    def validation(self) -> tf.data.Dataset:
        """Returns the sources' images that select the epoch.

        Of a frozen feature extractor it is what that gives for them.
        """
        return self._each_time(self.data.validation)

    def fitted(self) -> tf.data.Dataset:
        """Returns what a last layer is fitted on: all images to learn from.

        Of a frozen feature extractor it is each view that was computed.
        """
        if self._features is None:
            return self._plain(self.data.train)
        return self._features.views_of(self.data.train, self.config.batch_size)

    @property
    def num_fitted(self) -> int:
        """The number of images in `fitted`."""
        views = len(self._features.trained_views) if self._features else 1
        return views * len(self.data.train)

    def in_domain(self) -> tf.data.Dataset:
        """Returns the sources' images that are scored."""
        return self._plain(self.data.in_domain)

    def target(self) -> tf.data.Dataset:
        """Returns the target's images that are scored."""
        return self._plain(self.data.out_of_domain)

    def tracked_target(self) -> tf.data.Dataset:
        """Returns the same, to be scored with each validation."""
        return self._each_time(self.data.out_of_domain)

    def _each_time(self, examples: Examples) -> tf.data.Dataset:
        if self._features is not None:
            return self._features.dataset(examples, self.config.batch_size)
        return self._plain(examples)

    @property
    def sources(self) -> "SourceStreams":
        """The `SourceImages` of the run: what its method may look at."""
        splits = {"train": self.data.train, "validation": self.data.validation}
        return SourceStreams(splits, self._plain, self._model)

    def naming_bad(self, stream: TrainingStream):
        """Names the file where an image of the training can't be read.

        Args:
            stream: What is trained on.
        """

        def likely():
            first = int(self._model.optimizer.iterations.numpy())
            for step in range(first, first + _STEPS_AHEAD):
                for index in stream.examples_of_step(step):
                    yield stream.examples.paths[index]
            yield from self._each_epoch()

        return naming_bad_images(self.data.train.paths, likely)

    def _each_epoch(self) -> list[str]:
        data = self.data
        target = data.out_of_domain.paths if self.config.track_target else ()
        return [*data.validation.paths, *target]

    def few(self, examples: Examples) -> tf.Tensor:
        """Returns a handful of images, float32 [N, H, W, 3], unaugmented."""
        return few_images(examples, self.spec, self._cache_of(examples))

    def _plain(self, examples: Examples) -> tf.data.Dataset:
        return evaluation_dataset(
            examples,
            self.spec,
            self.config.batch_size,
            self._cache_of(examples),
        )

    def _cache_of(self, examples: Examples):
        kept = self._kept.issuperset(examples.paths)
        return self._cache if kept else None


class SourceStreams:
    """The sources' images, unaugmented; a `SourceImages`.

    Args:
        splits: {"train" or "validation": the images}.
        stream: Returns all images of some examples once, in batches.
        model: A `DomainModel`.
    """

    def __init__(
        self,
        splits: Mapping[str, Examples],
        stream: Callable[[Examples], tf.data.Dataset],
        model,
    ):
        self._splits = splits
        self._stream = stream
        self._embedding = Embedding(model, (None, None, 3))

    def batches(self, split: str) -> tf.data.Dataset:
        """Returns all images of a split once; see `SourceImages`."""
        return self._stream(self._splits[split])

    def features(
        self, split: str
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields features, labels and domain ids; see `SourceImages`."""
        return self._embedding(self.batches(split))


class Embedding:
    """Computes what the last layer takes, as prediction does.

    Args:
        model: A `DomainModel`.
        shape: Of an image, or of its features where a part is frozen.
    """

    def __init__(self, model, shape: Sequence[int | None]):
        self._embed = tf.function(
            model.embed,
            input_signature=[tf.TensorSpec((None, *shape), tf.float32)],
            autograph=False,
        )

    def __call__(
        self, dataset: tf.data.Dataset
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yields features [B, F], labels [B] and domain ids [B] by batch."""
        for inputs, labels in dataset:
            yield (
                self._embed(inputs["image"]).numpy(),
                labels.numpy(),
                inputs["domain_ids"].numpy(),
            )


def _feature_cache(config: RunConfig, spec: ImageSpec, model) -> FeatureCache:
    """Returns where the features of a run's frozen part are kept."""
    extractor = model.feature_extractor
    folder = config.cache_dir or default_folder()
    shape = extractor.compute_output_shape(
        (None, config.image_size, config.image_size, 3)
    )
    return FeatureCache(
        pathlib.Path(folder) / "features",
        spec,
        config.views,
        lambda images: model.features(
            tf.cast(images, model.compute_dtype), training=False
        ),
        shape[1:],
        "\0".join(
            [
                config.backbone,
                model.task_network.stages[0].name,
                model.compute_dtype,
                weights_key(extractor),
            ]
        ),
    )


def augmentation(config: RunConfig) -> str:
    """Returns the name in `AUGMENTATIONS` of what a run does to its images."""
    if config.augment == "paper":
        return DATASETS[config.dataset].augment
    return config.augment


def load_data(config: RunConfig) -> DomainData:
    """Lists a run's images; none is opened.

    Args:
        config: Resolved.

    Raises:
        UserError: If the data is not there or not as it should be.
    """
    data = config.list_images()
    METHODS[config.method].check_sources(config.method, data.source_domains)
    _check_unknown(data, config)
    return data


def _check_unknown(data: DomainData, config: RunConfig) -> None:
    if data.unknown_classes and config.unknown_classes == "error":
        raise UserError(
            f"the target {data.target_domain!r} has the class "
            f"{first_few(list(data.unknown_classes))}, which no source has; "
            "nothing can be learned of it (--unknown-classes ignore leaves its "
            "images out)"
        )


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
        return without_bad_images(data)
    return data, {}


def images_of_run(
    results: Mapping[str, Any], config: RunConfig | None = None
) -> tuple[RunConfig, DomainData]:
    """Lists the images of a finished run, or others that its model can take.

    What the run left out as unreadable is left out wherever its images are
    now: so they stay the images that it learned from and was scored on.

    Args:
        results: What its `results.json` holds.
        config: The run's own settings, or with other data, target or batch
            size; None for its own.

    Returns:
        The settings with the sources and the dataset that were found, and the
        images; none is opened. A folder that holds a new site alone has no
        images of the sources.

    Raises:
        UserError: If the data is not there, is not as it should be, or has
            other classes or domains than the model.
    """
    before = RunConfig.from_run(results["config"])
    config = config or before
    if config.data is not None and config.data != before.data:
        place = check_data(config.data, "--data ")
        site = None
        if place.is_dir():
            site = site_alone(config.data, nfc(config.target), results)
        if site is not None:
            _check_unknown(site, config)
            return dataclasses.replace(config, target=site.target_domain), site
    changes = {"sources": tuple(results["source_domains"])}
    if config.data != before.data:
        changes["dataset"] = _dataset_there(before, config.data)
    config = dataclasses.replace(config, **changes)
    config.check()
    _check_data_is_there(config)
    data = load_data(config)
    # In the Unicode form that names have in results.
    target = data.target_domain or NO_TARGET
    config = dataclasses.replace(config, target=target)
    if list(data.class_names) != list(map(nfc, results["class_names"])):
        raise UserError(
            f"the model knows the classes {', '.join(results['class_names'])}; "
            f"the data has {', '.join(data.class_names)}"
        )
    bad = results.get("bad_images")
    if bad:
        data = data.without(_moved(bad, before.data, config.data))
    return config, data


def _dataset_there(before: RunConfig, root: str) -> str:
    """Returns how other data is read: as the run's own, if it looks like it."""
    folder = check_data(root, "--data ")
    spec = DATASETS[before.dataset]
    if spec.fallback or spec.recognises(folder):
        return before.dataset
    return detect_dataset("auto", root)


def _check_data_is_there(config: RunConfig) -> None:
    if config.data is not None and not os.path.exists(config.data):
        looked = os.path.abspath(config.data)
        raise UserError(
            f"the run's data is not at {config.data}"
            + f" (looked at {looked})" * (looked != config.data)
            + "; say where it is now: evaluate RUN --data DIR"
        )


def _moved(
    paths: Iterable[str], before: str | None, now: str | None
) -> list[str]:
    """Returns what files of one folder are called in another."""
    before, now = image_root(before), image_root(now)
    if None in (before, now):
        return list(paths)
    # As readers of datasets join them.
    old, new = (os.path.join(pathlib.Path(root), "") for root in (before, now))
    return [
        new + path.removeprefix(old) if path.startswith(old) else path
        for path in paths
    ]


@contextlib.contextmanager
def naming_bad_images(
    paths: Sequence[str], likely: Callable[[], Iterable[str]] = tuple
):
    """Turns TensorFlow's nameless decoding error into one with a file.

    Args:
        paths: The files that are read.
        likely: Returns files that are looked at before these.
    """
    try:
        yield
    except (
        tf.errors.InvalidArgumentError,
        tf.errors.UnknownError,
        tf.errors.NotFoundError,
    ) as error:
        undecodable = undecodable_path(error)
        if undecodable:
            raise UserError(not_for_service(undecodable)) from error
        damaged = damaged_path(error)
        if damaged:
            with contextlib.suppress(OSError):
                os.unlink(damaged)
            raise UserError(
                f"{damaged} in the image cache is damaged, and was removed; "
                "start again with --resume, and the image is decoded anew"
            ) from error
        order = dict.fromkeys([*likely(), *paths])
        gone = _missing_file(error)
        if gone and gone not in order:
            raise UserError(
                f"{gone} is gone, which --cache disk had written; start "
                "again with --resume, and the images are decoded anew"
            ) from error
        bad = find_bad_images(order, stop_at_first=True)
        if not bad:
            raise
        raise bad_image_error(bad) from error


def _missing_file(error: Exception) -> str | None:
    """Returns the file that TensorFlow did not find, if it was that."""
    before, found, _ = str(error).partition("; No such file or directory")
    return before.rpartition("}} ")[2] if found else None


def without_bad_images(
    data: DomainData, splits=("train", "validation", "test", "out_of_domain")
) -> tuple[DomainData, dict[str, str]]:
    """Leaves out, and names, the images that can't be read.

    Args:
        data: The images.
        splits: Those that are looked at; all of their images are decoded.

    Returns:
        The rest, and {path: reason}.
    """
    paths = []
    for name in splits:
        split = getattr(data, name)
        paths += split.paths if split is not None else ()
    with Bar("reading all images", len(paths), "images") as bar:
        bad = find_bad_images(paths, bar.advance)
    for path, reason in bad.items():
        print_error(f"left out {path}: {reason}")
    if bad:
        print_error(f"{len(bad)} unreadable images are left out")
        data = data.without(bad)
    return data, bad
