"""The built-in dataset, as the rest of the package knows it."""

from dmg_tf.data.datasets.spec import PAPER_PRESETS, DatasetSpec


# Drawing needs NumPy and Pillow, which who reads the presets does not.
def _load(*args, **kwargs):
    from dmg_tf.data.shapes.dataset import load

    return load(*args, **kwargs)


def _domains(root: None = None) -> tuple[str, ...]:
    del root
    from dmg_tf.data.shapes.dataset import DOMAINS

    return DOMAINS


SPEC = DatasetSpec(
    title="Shapes",
    load=_load,
    domains=_domains,
    built_in=True,
    # It is learned from nothing, which needs a larger step.
    weights="none",
    presets={
        **PAPER_PRESETS,
        "epochs": 15,
        "image_size": 64,
        "learning_rate": 1e-3,
    },
)
