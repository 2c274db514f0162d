"""One training run, from config to results: where data and methods meet."""

import contextlib
import dataclasses
import math
import pathlib
import statistics
import time
from collections.abc import Sequence
from typing import Any

import keras

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import print_error
from dmg_tf.data import detect_dataset, why_dataset
from dmg_tf.data.examples import DomainData
from dmg_tf.devices.devices import Devices
from dmg_tf.devices.precision import BFLOAT16, FLOAT32, choose
from dmg_tf.evaluation.calibrating import calibrate
from dmg_tf.evaluation.images import RunImages, usable_data
from dmg_tf.evaluation.scoring import dtype_policy, score
from dmg_tf.methods.base import DomainModel
from dmg_tf.methods.build import build_model
from dmg_tf.report.run_page import write_run_report
from dmg_tf.runs.data_record import DataRecord
from dmg_tf.runs.environment import describe
from dmg_tf.runs.folder import load_checked_model, load_kept_weights
from dmg_tf.runs.writing import RunFolder, keep_calibration, writing_into
from dmg_tf.training.first_weights.loaded import load_initial_weights
from dmg_tf.training.loop import train
from dmg_tf.training.selection import Selection


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a finished run leaves.

    Attributes:
        run_dir: The run folder.
        results: What `results.json` holds; empty where this is not the chief.
        model: The selected model; where this is not the chief, the last one.
        is_chief: Whether this process wrote the run folder. It is False on all
            but one of several machines.
    """

    run_dir: pathlib.Path
    results: dict[str, Any]
    model: keras.Model
    is_chief: bool = True


def run_training(
    config: RunConfig,
    resume: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> RunResult:
    """Trains, selects, scores, and writes the run folder.

    Args:
        config: What to do; open choices are resolved here.
        resume: Go on with the run in the output folder. It ends with the
            weights that an unbroken run would have. A finished run is read
            and returned; a missing one is started.
        callbacks: Keras callbacks of one's own, on every machine of the run.
            The logs at the end of an epoch are its row of the history.

    Returns:
        Folder, results and model.

    Raises:
        UserError: For anything the user can mend. A run folder that this call
            made and that holds no checkpoint yet is removed again.
        WorkerLost: If another machine of the run is gone.
    """
    begin = time.perf_counter()
    auto = config.dataset == "auto"
    config = config.resolve(detect_dataset(config.dataset, config.data))
    with Devices(config.strategy) as devices:
        devices.check(config.batch_size, config.jit)
        with RunFolder.open(config, resume, devices.chief) as folder:
            finished = folder.results and _read(folder, devices)
            devices.meet()  # none writes before all have looked
            if finished:
                return finished
            why = why_dataset(config.dataset, config.data) if auto else ""
            if why:
                print_error(f"note: {why}")
            data, bad_images = usable_data(config)
            config = _with_precision(config, data, folder, devices)
            record = _record(folder, config, data, devices)
            with dtype_policy(config.precision):
                with devices.strategy.scope():
                    model = make_model(config, data)
                weights = load_initial_weights(model, config)
                images = RunImages(config, data, model)
                with _writing(folder, config, weights, record, devices):
                    devices.meet()  # what all go on from is there
                    selection = train(model, images, folder, devices, callbacks)
                    results = {}
                    if devices.chief:
                        load_kept_weights(model, folder.work)
                        calibrate(model, images)
                        keep_calibration(folder.checksums, model.calibration)
                        results = _results(model, images, folder, selection)
                        results["timing"]["total_seconds"] = (
                            time.perf_counter() - begin
                        )
                        results["bad_images"] = bad_images
                        folder.finish(results)
                        write_run_report(folder.work)
                    devices.meet()  # the chief is done
    return RunResult(folder.path, results, model, devices.chief)


def _with_precision(
    config: RunConfig, data: DomainData, folder: RunFolder, devices: Devices
) -> RunConfig:
    """Chooses the precision where that is left open; a run keeps its own."""
    if config.precision != "auto":
        return config
    if folder.going_on:
        precision = RunConfig.read(folder.path).precision
        return dataclasses.replace(config, precision=precision)

    def model_in(precision):
        with dtype_policy(precision):
            return make_model(config, data)

    precision, reason = choose(model_in, config.image_size)
    # Machines may differ.
    (rounded,) = devices.from_chief([precision == BFLOAT16])
    precision = BFLOAT16 if rounded else FLOAT32
    print_error(f"--precision auto is {precision}: {reason}")
    return dataclasses.replace(config, precision=precision)


def make_model(config: RunConfig, data: DomainData) -> DomainModel:
    """Returns the run's model with fresh weights, compiled later."""
    return build_model(
        config.method,
        config.backbone,
        len(data.class_names),
        data.source_domains,
        class_names=data.class_names,
        image_size=config.image_size,
        classifier_init=config.classifier_init,
        seed=config.seed,
        trained=config.train,
        **dataclasses.asdict(config.options),
    )


def _read(folder: RunFolder, devices: Devices) -> RunResult:
    """Returns what a finished run left."""
    if devices.chief and not folder.report.exists():
        with writing_into(folder.path):
            write_run_report(folder.path)
    model = load_checked_model(folder.path, folder.results)
    print_error(f"{folder.path} is finished; its results:")
    return RunResult(folder.path, folder.results, model, devices.chief)


def _record(
    folder: RunFolder, config: RunConfig, data: DomainData, devices: Devices
) -> DataRecord | None:
    """Returns what is written down of the data, once it is the run's own."""
    if not devices.chief:
        return None
    record = DataRecord.of(data, config.data)
    folder.check_data(record)
    return record


def _writing(
    folder: RunFolder, config: RunConfig, weights, record, devices: Devices
):
    """Lets the chief write the folder."""
    if not devices.chief:
        return contextlib.nullcontext()
    return folder.writing(config, describe(*weights), record)


def _results(
    model: DomainModel,
    images: RunImages,
    folder: RunFolder,
    selection: Selection,
) -> dict[str, Any]:
    data, history = images.data, selection.history
    return {
        "config": images.config.to_json(),
        "class_names": list(data.class_names),
        "source_domains": list(data.source_domains),
        **score(model, images, checksums=folder.checksums),
        **selection.summary(),
        "timing": {
            "train_images_per_second": _median(
                row["images_per_second"] for row in history
            ),
            "train_seconds": sum(row["seconds"] for row in history),
        },
        "notes": list(data.notes),
    }


def _median(values) -> float | None:
    # NaN, which JSON does not know, is the rate of a single step.
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else None
