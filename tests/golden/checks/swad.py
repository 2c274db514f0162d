"""The validations whose steps SWAD averages."""

import numpy as np

from dmg_tf.training.averages.valley import find_valley

CASES = range(8)


def swad(reference):
    """Compares detection and average for lists of validation losses."""
    found = {}
    for case in CASES:
        arrays = reference.part(f"case_{case}/")
        segments = arrays["segments"]
        valley = find_valley(
            arrays["validation_losses"],
            int(arrays["n_converge"]),
            int(arrays["n_tolerance"]),
            float(arrays["tolerance_ratio"]),
            ended=True,
        )
        taken = segments[list(valley.taken)].reshape(-1, 2)
        # Not converged: the last segment, of whose steps each is a model.
        shown = taken if len(taken) else segments[-1:]
        begin, end = shown[0][0], shown[-1][1]
        # A model's weight is the number of its step.
        average = np.mean([np.mean(segment) for segment in shown])
        found |= {
            f"case_{case}/{key}": value
            for key, value in {
                "converged": valley.start is not None,
                "threshold": valley.threshold or 0.0,
                "stopped_at_evaluation": -1
                if valley.end is None
                else valley.end,
                "averaged_segments": taken,
                "models_averaged": len(taken) or end - begin + 1,
                "start_step": begin,
                "end_step": end,
                "average": average,
            }.items()
        }
    return found


FILES = {"swad": swad}
GIVEN = {
    "swad": tuple(
        f"case_{case}/{key}"
        for case in CASES
        for key in (
            "validation_losses",
            "segments",
            "n_converge",
            "n_tolerance",
            "tolerance_ratio",
        )
    )
}
