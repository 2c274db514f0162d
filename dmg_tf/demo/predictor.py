"""A trained model, loaded once, that answers with everything the page shows."""

import threading
from typing import Any

import numpy as np
import tensorflow as tf

from dmg_tf.data.images.transforms import resize
from dmg_tf.demo.picture import read_picture
from dmg_tf.demo.wording import describe_agreement
from dmg_tf.predict.predictor import Predictor
from dmg_tf.runs.maps import relative

# Pictures that are decoded and predicted at a time; the others wait, so that
# many large ones can't fill the memory.
_AT_ONCE = 2


class DemoPredictor:
    """Predicts from the bytes of a picture; may be called by many threads.

    Args:
        predictor: The model, loaded.
    """

    def __init__(self, predictor: Predictor):
        self.facts = predictor.facts
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._predictor = predictor
        self._network = _network(predictor)
        # Tracing is done here, by one thread, and not at the first request.
        self._network(np.zeros([8, 8, 3], np.uint8))

    def text(self) -> str:
        """Returns a line on the model."""
        facts = self.facts
        return (
            f"{facts.method} on {facts.backbone}: {len(facts.class_names)} "
            f"classes, learned from {', '.join(facts.source_domains)}, "
            f"predicts by {facts.prediction_rule.title}"
        )

    def describe(self) -> dict[str, Any]:
        """Returns the facts, ready for JSON."""
        facts = self.facts
        return {
            "method": facts.method,
            "backbone": facts.backbone,
            "class_names": facts.class_names,
            "source_domains": facts.source_domains,
            "prediction_rule": facts.prediction_rule.name,
            "rule_name": facts.prediction_rule.title,
            "rule_is_mean": facts.prediction_rule.mean_of_domains,
            "part": facts.part,
            "image_size": facts.image_size,
            "in_domain": facts.in_domain,
            "out_of_domain": facts.out_of_domain,
            "abstains_below": facts.abstains_below(),
            "no_maps": self._no_maps(),
        }

    def _no_maps(self) -> str | None:
        """Returns why there are no maps of where it looks, if so."""
        if self._predictor.maps is not None:
            return None
        if self._predictor.embed is None:
            return (
                "an exported model can't show where it looks; serve the run "
                "folder"
            )
        return f"{self.facts.backbone} has no map of places to show"

    def predict(self, contents: bytes, maps: bool = False) -> dict[str, Any]:
        """Predicts the class of a picture.

        Args:
            contents: The file's bytes, in any format that the package reads.
            maps: Whether to tell where the network looks.

        Returns:
            Ready for JSON: "class_name", "class_id", "probability",
            "prediction_rule", "probabilities" ({class: p}), "width" and
            "height"; "per_domain", a list of {"domain", "class_name",
            "probability", "probabilities"}, and "agreement" (see
            `describe_agreement`), both None where the domains have nothing of
            their own; "abstain", whether it is too unsure to decide, None
            where the model does not say. With maps also "maps", a list of
            {"title", "domain", "values": [h][w] numbers in [0, 1], of all
            maps' largest}, None where there can't be any.

        Raises:
            BadPicture: If the bytes are no picture.
        """
        facts = self.facts
        with self._free:
            image, (width, height) = read_picture(contents, facts.image_size)
            probs, per_domain = self._network(image)
            seen = {"maps": self._seen(image)} if maps else {}
        below = facts.abstains_below()
        return {
            **self._named(probs),
            "class_id": int(probs.argmax()),
            "prediction_rule": facts.prediction_rule.name,
            "width": width,
            "height": height,
            "per_domain": None
            if per_domain is None
            else [
                {"domain": domain, **self._named(row)}
                for domain, row in zip(
                    facts.source_domains, per_domain, strict=True
                )
            ],
            "agreement": None
            if per_domain is None
            else describe_agreement(
                per_domain,
                facts.class_names,
                facts.source_domains,
                facts.part,
                facts.votes,
                list(facts.out_of_domain),
            ),
            "abstain": None if below is None else bool(probs.max() < below),
            **seen,
        }

    def _seen(self, image) -> list[dict[str, Any]] | None:
        if self._predictor.maps is None:
            return None
        size = self.facts.image_size
        image = tf.ensure_shape(resize(image, size), [size, size, 3])
        _, (found,) = self._predictor.maps(image[tf.newaxis])
        return [
            {
                "title": rule.title,
                "domain": rule.domain,
                "values": np.round(values, 3).tolist(),
            }
            for rule, values in zip(
                self._predictor.map_rules, relative(found), strict=True
            )
        ]

    def _named(self, probs) -> dict[str, Any]:
        names = self.facts.class_names
        return {
            "class_name": names[probs.argmax()],
            "probability": float(probs.max()),
            "probabilities": dict(zip(names, map(float, probs), strict=True)),
        }


def _network(predictor):
    """Returns uint8 [H, W, 3] -> probabilities [C], and [D, C] or None."""
    size = predictor.facts.image_size

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)],
        autograph=False,
    )
    def probabilities(image):
        image = tf.ensure_shape(resize(image, size), [size, size, 3])
        _, _, *found = predictor.probabilities(image[tf.newaxis])
        return [x[0] for x in found if x is not None]

    def network(image):
        probs, *per_domain = (x.numpy() for x in probabilities(image))
        return probs, per_domain[0] if per_domain else None

    return network
