"""A few training images as the network sees them, for people to look at."""

import numpy as np
import tensorflow as tf

from dmg_tf.data.examples import DomainData
from dmg_tf.data.streams.training import TrainingStream

_A_DOMAIN = 4  # classes that are shown of each source domain
_MAX_PLACES = 1000  # of the stream that are looked through for them


def first_pictures(
    stream: TrainingStream, data: DomainData
) -> dict[str, np.ndarray]:
    """Loads images of the first epoch, augmented as they were learned from.

    Of each source domain it is the first image of each of the first few
    classes that come up.

    Args:
        stream: The run's training images.
        data: Names their domains and classes.

    Returns:
        {"<domain>/<class>": float32 [H, W, 3] in [0, 1]}.
    """
    epoch = stream.steps_per_epoch * stream.batch_size
    places, shown = {}, dict.fromkeys(data.source_domains, 0)
    for place in range(min(epoch, _MAX_PLACES)):
        example = int(stream.example_at(tf.constant(place, tf.int64))[0])
        domain = data.source_domains[stream.examples.domain_ids[example]]
        name = f"{domain}/{data.class_names[stream.examples.labels[example]]}"
        if name not in places and shown[domain] < _A_DOMAIN:
            places[name] = place
            shown[domain] += 1
        if min(shown.values()) == min(_A_DOMAIN, len(data.class_names)):
            break
    load = stream.image_loader()
    spec = stream.spec
    return {
        name: np.clip(
            load(tf.constant(place, tf.int64))[0]["image"] * spec.std
            + np.float32(spec.mean),
            0,
            1,
        )
        for name, place in sorted(places.items())
    }
