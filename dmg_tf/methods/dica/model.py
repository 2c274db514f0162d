"""DICA: a projection in which the domains' means are alike."""

import contextlib

import keras
import numpy as np

from dmg_tf.errors import UserError
from dmg_tf.methods.closed_form import Moments, ridge
from dmg_tf.methods.dica.components import Problem, components
from dmg_tf.methods.dica.landmarks import (
    LandmarkHead,
    Landmarks,
    choose_landmarks,
)
from dmg_tf.methods.dica.spec import SPEC
from dmg_tf.methods.fitted_head import FittedHeadModel
from dmg_tf.methods.inner_steps import values_of

# Components of uDICA, which knows no classes that would bound them.
_UNSUPERVISED_COMPONENTS = 200


@keras.saving.register_keras_serializable("dmg_tf")
class DICA(FittedHeadModel):
    """Predicts by a classifier on components that the domains share.

    Muandet, Balduzzi and Schölkopf, "Domain Generalization via Invariant
    Feature Representation", ICML 2013; a row of Table 6 of the paper, there on
    features of a network that is not trained with it (`--epochs 0`). Here the
    network trains on all sources, and before each validation, on features of
    all source images, unaugmented,

    1. the components are found: directions in which the classes (or, of uDICA,
       the images) differ much and the domains' means little;
    2. a ridge regression of the labels on them gives a linear classifier;
    3. its scores are multiplied by one number that makes their softmax fit the
       sources' validation images.

    Under the linear kernel that is written into the network's last layer for
    as long as the model is scored and kept; training goes on with the layer
    that it trains.

    Differs: the eigenproblem is that of the features' covariances, which is the
    same one by their number in place of the images'; features are whitened
    first unless told otherwise (the paper's own denominator was far below a
    plain ridge regression on deep features), else divided by their standard
    deviation, as the balance of the two terms depends on their scale; the
    numerator is the symmetric one, which the derivation gives, where the
    paper's and its authors' code's is not; the variance between domains has a
    weight; new images are centred on the sources' mean, where the authors'
    code takes the mean of the test images, which is adaptation to them; the
    Gaussian kernel is by landmarks.

    Weights, besides the network's, none of them trained:
        domain_variance: [2], the share of the variance that lies between the
            domains' means, of the features and of the components.
        head: Of the Gaussian kernel alone, a `LandmarkHead`.

    Randomness:
        Landmarks are a function of the seed and the images' order.
    """

    spec = SPEC

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        labelled = self.options.dica_form != "unsupervised"
        number = self.options.dica_components
        if labelled and number and number >= self.num_classes:
            raise UserError(
                "--dica-components must be below the number of classes, "
                f"{self.num_classes}, got {number}; more are there with "
                "--dica-form unsupervised"
            )
        if number is None:
            number = _UNSUPERVISED_COMPONENTS
            number = self.num_classes - 1 if labelled else number
        self._number = number

    def make_head(self):
        """Returns the Gaussian kernel's head; None for the linear kernel."""
        if self.options.dica_kernel == "linear":
            return None
        groups = self.num_classes * len(self.source_domains)
        if self.options.dica_landmarks < groups:
            raise UserError(
                f"--dica-landmarks must be at least {groups}, one for each of "
                f"{self.num_classes} classes in {len(self.source_domains)} "
                f"domains, got {self.options.dica_landmarks}"
            )
        return LandmarkHead(
            self.options.dica_landmarks, self.num_classes, name="head"
        )

    def build(self, input_shape=None):
        """Makes all variables, whatever the shape given."""
        super().build(input_shape)
        self.domain_variance = self.add_weight(
            name="domain_variance",
            shape=(2,),
            initializer="zeros",
            trainable=False,
        )

    @contextlib.contextmanager
    def scored_weights(self):
        """Lets the fitted last layer stand in for the trained one."""
        trained = self.task_network.stages[-1].weights
        before = values_of(trained)
        try:
            yield
        finally:
            for weight, value in zip(trained, before, strict=True):
                weight.assign(value)

    def before_validation(self, images):
        """Fits what predicts on features of all source images."""
        if self.head is None:
            self._fit_classifier(images)
        else:
            self._fit_head(images)

    def _fit_classifier(self, images):
        moments = self._moments(images.features("train"))
        # Of unit mean square, as the balance of the terms depends on it.
        scale = np.sqrt(np.trace(moments.scatter)) or 1.0
        kernel, bias = self._regression(moments.scaled(1 / scale))
        kernel = kernel / scale
        sharp = self.sharpness_of(lambda h: h @ kernel + bias, images)
        last = self.task_network.stages[-1]
        last.kernel.assign(sharp * kernel)
        last.bias.assign(sharp * bias)

    def _fit_head(self, images):
        groups = self.num_classes * len(self.source_domains)
        landmarks = Landmarks(
            choose_landmarks(
                images.features("train"),
                self.options.dica_landmarks // groups,
                self.seed,
            )
        )
        moments = self._moments(
            (landmarks(hidden), *rest)
            for hidden, *rest in images.features("train")
        )
        kernel, bias = self._regression(moments)
        sharp = self.sharpness_of(
            lambda h: landmarks(h) @ kernel + bias, images
        )
        self.head.assign_fit(landmarks, sharp * kernel, sharp * bias)

    def measures(self):
        """Returns how much of the variance lies between domains."""
        features, found = map(float, self.domain_variance.numpy())
        return {"domain_variance": {"features": features, "components": found}}

    def _moments(self, batches):
        return Moments(self.num_classes, len(self.source_domains), batches)

    def _regression(self, moments):
        """Returns the components' classifier: kernel [F, C] and bias [C]."""
        options = self.options
        whitened = options.dica_whitening == "shrunk"
        _, directions = components(
            moments,
            self._number,
            Problem(
                form=options.dica_form,
                shrinkage=options.dica_shrinkage if whitened else None,
                variance_weight=options.dica_variance_weight,
                epsilon=options.dica_epsilon,
                decay=options.dica_lambda,
            ),
        )
        scatter = directions.T @ moments.scatter @ directions
        deviations = moments.deviations
        self.domain_variance.assign(
            [
                _share(deviations, moments.scatter),
                _share(directions.T @ deviations, scatter),
            ]
        )
        return ridge(moments, options.dica_ridge, directions)


def _share(deviations, scatter):
    """Returns the share of the variance that lies between domains."""
    between = (deviations**2).sum() / deviations.shape[1]
    return between / (np.trace(scatter) or 1.0)
