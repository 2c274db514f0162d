"""What is known of DICA before TensorFlow is loaded."""

import dataclasses

from dmg_tf.methods.spec import MethodSpec
from dmg_tf.settings import LogRange, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of DICA."""

    dica_form: str = setting(
        "what the components keep: what tells the classes apart (symmetric, as "
        "it is derived; printed, as the paper and its authors' code have it), "
        "or the variance of the features (unsupervised, uDICA)",
        "symmetric",
        names=lambda: ("symmetric", "printed", "unsupervised"),
        search=("symmetric", "unsupervised"),
    )
    dica_kernel: str = setting(
        "kernel: linear, or Gaussian (rbf) by landmarks, which stay in the "
        "model",
        "linear",
        names=lambda: ("linear", "rbf"),
    )
    dica_landmarks: int = setting(
        "landmarks of the rbf kernel, equally many of each class and domain",
        1000,
        at_least=1,
    )
    dica_whitening: str = setting(
        "shrunk: whiten the features first, by their covariance and κ times "
        "its mean eigenvalue; none: as the paper",
        "shrunk",
        names=lambda: ("shrunk", "none"),
    )
    dica_shrinkage: float = setting(
        "κ, how far whitening is kept from the least eigenvalues",
        1.0,
        above=0,
        symbol="κ",
        search=LogRange(0.01, 100.0),
    )
    dica_components: int | None = setting(
        "components (default: one less than classes; unsupervised 200)",
        at_least=1,
        axis="--dica-components-choices",
    )
    dica_variance_weight: float = setting(
        "ρ, weight of the variance between domains; the paper has 1",
        1.0,
        at_least=0,
        symbol="ρ",
        search=(0.0, 1.0, 100.0, 10000.0),
    )
    dica_epsilon: float = setting(
        "ε, ridge of the labels' covariance",
        1e-3,
        above=0,
        symbol="ε",
    )
    dica_lambda: float = setting(
        "λ, ridge of the coefficients of images; costs an inverse of the "
        "covariance",
        0.0,
        at_least=0,
        symbol="λ",
    )
    dica_ridge: float = setting(
        "ridge of the classifier on the components",
        1e-3,
        above=0,
    )


SPEC = MethodSpec(
    title="DICA",
    model="dmg_tf.methods.dica.model:DICA",
    on_features=False,
    summary="a classifier, in closed form, on components that domains share",
    options=Options,
    paper="Muandet, Balduzzi and Schölkopf, ICML 2013",
    least_epochs=0,
)
