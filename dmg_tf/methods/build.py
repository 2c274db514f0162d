"""Making a model by the names of its parts."""

import keras

from dmg_tf.errors import unknown_name
from dmg_tf.registry import METHODS

# Importing every method's model registers it with Keras, for `load_model`.
for _name in METHODS.names():
    METHODS[_name].load()


def build_model(
    method: str,
    backbone: str,
    num_classes: int,
    source_domains,
    *,
    class_names=None,
    image_size: int = 224,
    classifier_init: str = "pytorch",
    seed: int = 0,
    trained: str = "all",
    **options,
) -> keras.Model:
    """Makes a model with fresh weights, built and ready to compile or load.

    Args:
        method: Name in `METHODS`.
        backbone: Name in `BACKBONES`.
        num_classes: Number of classes C.
        source_domains: Names of the source domains, in the order of their ids.
        class_names: Names of the classes in the order of the labels, kept with
            the model; or None.
        image_size: Side of the images, pixels; at least 32.
        classifier_init: "pytorch" or "normal".
        seed: Seed of initial weights, masks and dropout.
        trained: "all", "task_network" or "classifier"; see `DomainModel`.
        **options: The method's own, e.g. `siou_weight` of `dmg`; see
            `dmg-tf methods`.

    Returns:
        The model, with all variables made.

    Raises:
        UserError: If a name is unknown.
    """
    if method not in METHODS.names():
        raise unknown_name("method", method, METHODS.names())
    spec = METHODS[method]
    model = spec.load()(
        backbone,
        num_classes,
        source_domains,
        options=spec.make_options(options, method),
        class_names=class_names,
        image_size=image_size,
        classifier_init=classifier_init,
        seed=seed,
        trained=trained,
    )
    model.build()
    return model
