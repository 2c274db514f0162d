"""Predicts images with a trained model and writes a table.

dmg-tf predict RUN_OR_SAVED_MODEL IMAGES... --csv out.csv
"""

import contextlib
import sys

# TensorFlow is loaded by the functions that need it: after the arguments of the
# command line were checked.
from dmg_tf.errors import UserError
from dmg_tf.predict.inputs import ImagePaths
from dmg_tf.predict.predictor import load_predictor
from dmg_tf.predict.table import (
    Tally,
    column_names,
    open_table,
    table_rows,
)

BATCH_SIZE = 64


def predict_files(
    model_dir: str,
    paths: ImagePaths,
    csv_file: str | None = None,
    *,
    prediction_rule: str | None = None,
    batch_size: int = BATCH_SIZE,
    top_k: int = 1,
    abstain_error: float | None = None,
    trust: bool = False,
) -> str:
    """Predicts images and writes a row for each.

    Memory does not grow with the number of images.

    Args:
        model_dir: A run folder, or what `dmg_tf.export` wrote.
        paths: The images, from `collect_paths`.
        csv_file: The file to write, which appears whole or not at all; None
            for standard output.
        prediction_rule: See `load_predictor`.
        batch_size: Images a step.
        top_k: Number of classes in a row.
        abstain_error: How many decisions may be wrong, one of `ABSTAIN_RATES`;
            None for the usual.
        trust: See `load_predictor`.

    Returns:
        A line on what was done.

    Raises:
        UserError: If there is no such model, rule or number of classes, or the
            table can't be written.
    """
    from dmg_tf.console.bar import Bar
    from dmg_tf.console.quiet import quiet_libraries
    from dmg_tf.predict.stream import predict_stream

    # Rows in a terminal are progress enough, and the bar would move over them.
    in_sight = csv_file is None and sys.stdout.isatty()
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(open_table(csv_file))
        predictor = load_predictor(model_dir, prediction_rule, trust)
        facts = predictor.facts
        if top_k > len(facts.class_names):
            raise UserError(
                f"--top-k {top_k} is more than the model's "
                f"{len(facts.class_names)} classes"
            )
        below = _abstains_below(facts, abstain_error)
        tally = Tally(facts, below)
        table.write([column_names(facts, top_k, below)])
        bar = None
        if not in_sight:
            bar = stack.enter_context(Bar("predicting", len(paths), "images"))
        # Their rows say it, with the file's name.
        stack.enter_context(quiet_libraries(streams=(2,)))
        for batch in predict_stream(predictor, paths, batch_size, top_k):
            table.write(table_rows(facts, *batch, top_k, below))
            tally.add(*batch[1:])
            if bar:
                bar.advance(len(batch[0]))
    return f"{csv_file}: {tally}" if csv_file else str(tally)


def _abstains_below(facts, rate) -> float | None:
    below = facts.abstains_below(rate)
    if rate is not None and below is None:
        raise UserError(
            f"--abstain-error {rate:g}: the model does not say when to abstain "
            f"by {facts.prediction_rule.name}; it was trained by an earlier "
            "version or on too few validation images"
        )
    return below
