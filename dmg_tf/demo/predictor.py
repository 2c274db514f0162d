"""A trained model, loaded once, that answers with everything the page shows."""

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from dmg_tf.demo.picture import read_picture
from dmg_tf.demo.wording import describe_agreement
from dmg_tf.report import rule_name

# Pictures that are decoded and predicted at a time; the others wait, so that
# many large ones can't fill the memory.
_AT_ONCE = 2


@dataclasses.dataclass(frozen=True)
class ModelFacts:
    """What the page says of a model.

    Attributes:
        method: Name in `METHODS`.
        backbone: Name in `BACKBONES`.
        class_names: In the order of the logits.
        source_domains: In the order of their ids.
        prediction_rule: How the prediction is made.
        part: What a domain has of its own, "mask" or "head"; None where the
            model has nothing of the kind.
        image_size: Side of the network's input, pixels.
        in_domain: Mean accuracy on the sources, or None.
        out_of_domain: {target domain: accuracy}, or empty.
    """

    method: str
    backbone: str
    class_names: tuple[str, ...]
    source_domains: tuple[str, ...]
    prediction_rule: str
    part: str | None
    image_size: int
    in_domain: float | None = None
    out_of_domain: dict[str, float] = dataclasses.field(default_factory=dict)

    def text(self) -> str:
        """Returns one line."""
        return (
            f"{self.method} on {self.backbone}: {len(self.class_names)} "
            f"classes, learned from {', '.join(self.source_domains)}, predicts "
            f"by {rule_name(self.prediction_rule)}"
        )


class Predictor:
    """Predicts from the bytes of a picture; may be called by many threads.

    Args:
        facts: What the model is.
        network: uint8 [H, W, 3] -> probabilities float32 [C], and of each
            domain float32 [D, C] or None.
    """

    def __init__(self, facts: ModelFacts, network: Callable):
        self.facts = facts
        self._network = network
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        # Tracing is done here, by one thread, and not at the first request.
        network(np.zeros([8, 8, 3], np.uint8))

    def describe(self) -> dict[str, Any]:
        """Returns the facts, ready for JSON."""
        return {
            **dataclasses.asdict(self.facts),
            "rule_name": rule_name(self.facts.prediction_rule),
        }

    def predict(self, contents: bytes) -> dict[str, Any]:
        """Predicts the class of a picture.

        Args:
            contents: The file's bytes, in any format that the package reads.

        Returns:
            Ready for JSON: "class_name", "class_id", "probability",
            "prediction_rule", "probabilities" ({class: p}), "width" and
            "height"; "per_domain", a list of {"domain", "class_name",
            "probability", "probabilities"}, and "agreement" (see
            `describe_agreement`), both None for a model without masks.

        Raises:
            BadPicture: If the bytes are no picture.
        """
        with self._free:
            image = read_picture(contents)
            probs, per_domain = self._network(image)
        height, width, _ = image.shape
        facts = self.facts
        return {
            **self._named(probs),
            "class_id": int(probs.argmax()),
            "prediction_rule": facts.prediction_rule,
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
            ),
        }

    def _named(self, probs) -> dict[str, Any]:
        names = self.facts.class_names
        return {
            "class_name": names[probs.argmax()],
            "probability": float(probs.max()),
            "probabilities": dict(zip(names, map(float, probs), strict=True)),
        }
