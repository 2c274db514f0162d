"""One training run, from config to results: where data and methods meet."""

import dataclasses
import math
import pathlib
import statistics
import time
from typing import Any

import keras

from dmg_tf.config import RunConfig
from dmg_tf.console.bar import Bar, print_error
from dmg_tf.data import detect_dataset
from dmg_tf.data.examples import DomainData
from dmg_tf.data.streams.evaluation import evaluation_dataset
from dmg_tf.data.streams.training import TrainingStream
from dmg_tf.devices.machines import (
    as_worker,
    check_same_epoch,
    is_chief,
    naming_lost_workers,
    share,
)
from dmg_tf.devices.strategy import (
    check_batch_size,
    check_jit,
    even_batch_size,
    make_strategy,
    prepare_fit,
    training_dataset,
)
from dmg_tf.evaluation.images import each_epoch, filled_cache, usable_data
from dmg_tf.evaluation.scoring import (
    dtype_policy,
    image_spec,
    naming_bad_images,
    score,
)
from dmg_tf.files import remove_folder, write_json, writing
from dmg_tf.methods.build import build_model
from dmg_tf.report.run_page import REPORT_NAME, write_run_report
from dmg_tf.runs import predictions
from dmg_tf.runs.environment import describe
from dmg_tf.runs.folder import (
    check_run_dir,
    finished_results,
    has_checkpoint,
    load_run_model,
)
from dmg_tf.runs.predictions import OVERALL
from dmg_tf.training.initial_weights import load_initial_weights
from dmg_tf.training.keeper import (
    TARGET_COLUMN,
    TARGET_RULE,
    Keeper,
    StopOnBadLoss,
    Timer,
)
from dmg_tf.training.optimizers import OPTIMIZERS
from dmg_tf.training.pictures import first_pictures
from dmg_tf.training.progress import ProgressCallback, print_plan
from dmg_tf.training.schedules import EpochSchedule


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


def run_training(config: RunConfig, resume: bool = False) -> RunResult:
    """Trains, selects, scores, and writes the run folder.

    Args:
        config: What to do; open choices are resolved here.
        resume: Go on with the run in the output folder. It ends with the
            weights that an unbroken run would have. A finished run is read
            and returned; a missing one is started.

    Returns:
        Folder, results and model.

    Raises:
        UserError: For anything the user can mend. A run folder that this call
            made and that holds no checkpoint yet is removed again.
        WorkerLost: If another machine of the run is gone.
    """
    begin = time.perf_counter()
    dataset = detect_dataset(config.dataset, config.data)
    config = config.resolve(dataset)
    strategy = make_strategy(config.strategy)
    check_batch_size(strategy, config.batch_size)
    check_jit(strategy, config.jit)
    with as_worker(strategy), naming_lost_workers(strategy):
        return _run(config, strategy, resume, begin)


def _run(config, strategy, resume, begin) -> RunResult:
    run_dir = pathlib.Path(config.output)
    chief = is_chief(strategy)
    going_on = check_run_dir(run_dir, config, resume)
    finished = _finished(run_dir, config, chief) if going_on else None
    # None writes before all have looked.
    share(strategy, 0)
    if finished:
        return dataclasses.replace(finished, is_chief=chief)

    data, bad_images = usable_data(config)
    with dtype_policy(config.precision):
        with strategy.scope():
            model = make_model(config, data)
        weights = load_initial_weights(model, config)
        try:
            if chief:
                _prepare_run_dir(run_dir, config, weights)
            return _train_and_score(
                model, config, data, run_dir, bad_images, begin, strategy
            )
        except BaseException:
            if chief and not going_on and not has_checkpoint(run_dir):
                remove_folder(run_dir)
            raise


def make_model(config: RunConfig, data: DomainData) -> keras.Model:
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
        **dataclasses.asdict(config.options),
    )


def _train_and_score(model, config, data, run_dir, bad_images, begin, strategy):
    spec = image_spec(model, config)
    images = filled_cache(config, data)
    stream = TrainingStream(
        data.train,
        spec,
        even_batch_size(strategy, config.batch_size, len(data.train)),
        config.seed,
        config.sampling,
        len(data.source_domains),
        images if config.cache == "disk" or not config.data_service else None,
        config.data_service,
    )
    schedule = EpochSchedule(
        config.learning_rate, config.schedule, stream.steps_per_epoch
    )
    with strategy.scope():
        model.compile(
            optimizer=OPTIMIZERS[config.optimizer](
                schedule,
                l2=config.weight_decay,
                rates=[
                    model.rate_of(variable, config.learning_rate)
                    for variable in model.trainable_variables
                ],
            ),
            jit_compile=config.jit,
        )
        model.optimizer.build(model.trainable_variables)
    prepare_fit(model)

    timer = Timer(stream.batch_size)
    keeper = Keeper(
        run_dir,
        evaluation_dataset(data.validation, spec, config.batch_size, images),
        data.source_domains,
        timer,
        lambda epoch: float(schedule(epoch * stream.steps_per_epoch)),
        target=evaluation_dataset(
            data.out_of_domain, spec, config.batch_size, images
        )
        if config.track_target
        else None,
        pictures=lambda: first_pictures(stream, data),
        writes=is_chief(strategy),
    )
    keeper.set_model(model)
    done = keeper.restore()
    check_same_epoch(strategy, done, run_dir)
    steps = stream.steps_per_epoch
    print_plan(model, config, data, done)
    if done < config.epochs:
        with Bar(
            "training", steps * config.epochs, "steps", steps * done
        ) as bar:
            progress = ProgressCallback(bar, config.epochs)
            keeper.on_epoch = lambda row: progress.show(
                row, best=keeper.best is row
            )
            with naming_bad_images(
                data.train.paths, stream, model, each_epoch(config, data)
            ):
                model.fit(
                    training_dataset(strategy, stream, done * steps),
                    epochs=config.epochs,
                    initial_epoch=done,
                    steps_per_epoch=steps,
                    shuffle=False,  # the stream is shuffled
                    callbacks=[StopOnBadLoss(), timer, keeper, progress],
                    verbose=0,
                )
    if not is_chief(strategy):
        share(strategy, 0)  # the chief is done
        return RunResult(run_dir, {}, model, is_chief=False)
    model.load_weights(run_dir / "model.keras")
    results = _results(model, config, data, run_dir, keeper)
    results["timing"]["total_seconds"] = time.perf_counter() - begin
    results["bad_images"] = bad_images
    write_json(run_dir / "results.json", results)
    write_run_report(run_dir)
    share(strategy, 0)
    return RunResult(run_dir, results, model)


def _results(model, config, data, run_dir, keeper) -> dict[str, Any]:
    best = keeper.best
    return {
        "config": config.to_json(),
        "class_names": list(data.class_names),
        "source_domains": list(data.source_domains),
        **score(
            model,
            config,
            data,
            predictions_path=run_dir / predictions.FILE_NAME,
        ),
        "selection": {
            "rule": model.selection_rule,
            "epoch": best["epoch"],
            "value": best["validation_overall"],
        },
        **_oracle(keeper.history, config),
        "timing": {
            "train_images_per_second": _median(
                row["images_per_second"] for row in keeper.history
            ),
            "train_seconds": sum(row["seconds"] for row in keeper.history),
        },
        "notes": list(data.notes),
    }


def _oracle(history, config) -> dict[str, Any]:
    """Says which epoch was the target's best, if it was looked at."""
    if not config.track_target:
        return {}
    best = max(history, key=lambda row: row[TARGET_COLUMN])
    accuracy = dict.fromkeys((config.target, OVERALL), best[TARGET_COLUMN])
    return {"oracle": {"epoch": best["epoch"], TARGET_RULE: accuracy}}


def _finished(run_dir, config, chief) -> RunResult | None:
    results = finished_results(run_dir, config)
    if results is None:
        return None
    if chief and not (run_dir / REPORT_NAME).exists():
        write_run_report(run_dir)
    print_error(f"{run_dir} is finished; its results:")
    return RunResult(run_dir, results, load_run_model(run_dir))


def _prepare_run_dir(run_dir, config, weights) -> None:
    with writing(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
    write_json(run_dir / "config.json", config.to_json())
    write_json(run_dir / "environment.json", describe(*weights))
    # What is of the run as it was before it went on.
    for name in ("results.json", predictions.FILE_NAME, REPORT_NAME):
        (run_dir / name).unlink(missing_ok=True)


def _median(values) -> float | None:
    # NaN, which JSON does not know, is the rate of a single step.
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else None
