"""Making a model by the names of its parts."""

import inspect

import keras

from dmg_tf.registry import METHODS

# Importing every method registers it with Keras, for `load_model`.
for _name in METHODS.names():
    METHODS[_name]


def build_model(
    method: str,
    backbone: str,
    num_classes: int,
    source_domains,
    *,
    mask_sites=None,
    siou_weight: float = 0.1,
    siou_reduction: str = "mean",
    sparsity_weight: float = 0.0,
    meta_steps: int = 5,
    meta_learning_rate: float = 0.01,
    image_size: int = 224,
    classifier_init: str = "pytorch",
    seed: int = 0,
) -> keras.Model:
    """Makes a model with fresh weights, built and ready to compile or load.

    Args:
        method: Name in `METHODS`.
        backbone: Name in `BACKBONES`.
        num_classes: Number of classes C.
        source_domains: Names of the source domains, in the order of their ids.
        mask_sites: Layers whose input is masked; None for the paper's.
        siou_weight: λ_O. Methods without masks have no use for it, nor for
            the next two.
        siou_reduction: "mean" or "sum" over pairs of domains.
        sparsity_weight: λ_S.
        meta_steps: Inner steps of `metareg`; others have no use for it, nor
            for the next.
        meta_learning_rate: Step size of the regulariser of `metareg`.
        image_size: Side of the images, pixels; at least 32.
        classifier_init: "pytorch" or "normal".
        seed: Seed of initial weights, masks and dropout.

    Returns:
        The model, with all variables made.

    Raises:
        UserError: If a name is unknown.
    """
    model_class = METHODS[method]
    options = {
        "siou_weight": siou_weight,
        "siou_reduction": siou_reduction,
        "sparsity_weight": sparsity_weight,
        "meta_steps": meta_steps,
        "meta_learning_rate": meta_learning_rate,
    }
    known = inspect.signature(model_class.__init__).parameters
    model = model_class(
        backbone,
        num_classes,
        source_domains,
        mask_sites=mask_sites,
        image_size=image_size,
        classifier_init=classifier_init,
        seed=seed,
        **{name: value for name, value in options.items() if name in known},
    )
    model.build(None)
    return model
