"""What an exported model answers to: images in, predictions out."""

import tensorflow as tf

from dmg_tf.data.images.decoding import decode, or_else
from dmg_tf.data.images.transforms import normalize, resize
from dmg_tf.evaluation.probabilities import probabilities
from dmg_tf.export.metadata import signature_of
from dmg_tf.rules import PredictionRule

# One signature has one dtype, a callable of a loaded model takes both.
_UINT8 = tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")
_FLOAT = tf.TensorSpec([None, None, None, 3], tf.float32, name="images")
_BYTES = tf.TensorSpec([None], tf.string, name="image_bytes")
_IDS = tf.TensorSpec([None], tf.int32, name="domain_ids")
_NAMES = tf.TensorSpec([None], tf.string, name="domains")


class ServingModule(tf.Module):
    """An exported model, as `tf.saved_model.load` gives it back.

    Its callables have the signatures' names, with `predict` for the default,
    and `metadata()`. Those of images take uint8 and float32 alike.
    """


def serving_module(
    model, network, rule: PredictionRule, metadata: str
) -> tuple[tf.Module, dict[str, tf.types.experimental.ConcreteFunction]]:
    """Makes the object and the signatures that a SavedModel is written from.

    Images are [B, H, W, 3] in [0, 255], of any size, uint8 except where said.
    Every prediction is `logits` and `probabilities`, float32 [B, C], and
    `class_id`, int32 [B]. Probabilities are those of the logits over the rule's
    temperature, which the metadata have. The signatures:

    - `serving_default` (images): by the prediction rule;
    - `serving_float` (images float32 in [0, 255]): the same;
    - `serving_bytes` (image_bytes string [B], JPEG or PNG): the same;
    - RULE (images, domain_ids int32 [B]) and RULE_by_name (images, domains
      string [B]) of a rule that needs the domain of each image;
    - RULE (images) of a further rule, unless it follows from the next one;
    - per_PART (images): of every source domain, where each has a part of its
      own such as a mask or a head, with an axis of D behind the one of B;
    - `metadata` (): a JSON text, string scalar.

    Errors of a request (an image that can't be decoded, an unknown domain) are
    InvalidArgument and name the position in the batch.

    Args:
        model: The `DomainModel`; gives domains and how images are prepared.
        network: Its `StoredNetwork`.
        rule: How the first three predict.
        metadata: JSON text.

    Returns:
        The object to save, and {signature name: its function}.
    """
    serving = _Serving(model, network)
    serving.add_default(rule)
    default, *others = network.rules
    for other in others:
        if other.needs_domain:
            serving.add_known_domain(other)
    # The default rule needs a signature of its own only if it isn't served.
    for other in others if rule == default else network.rules:
        followed = other.part or other.mean_of_domains
        if not (followed or other.needs_domain):
            serving.add_rule(other)
    for part in dict.fromkeys(r.part for r in network.rules if r.part):
        serving.add_part([r for r in network.rules if r.part == part])
    serving.add_metadata(metadata)
    return serving.module, serving.signatures


class _Serving:
    """The object that a SavedModel is written from, and its signatures.

    Args:
        model: As for `serving_module`.
        network: As for `serving_module`.

    Attributes:
        module: The object.
        signatures: {name: its function}.
    """

    def __init__(self, model, network):
        self._model, self._network = model, network
        self.module = ServingModule(name="dmg_tf")
        self.module.stored = network.variables
        self.signatures = {}

    def add_default(self, rule):
        """Adds what answers by the chosen rule: to pixels and to files."""
        logits, temperature = self._logits([rule]), self._temperature(rule)

        def of_images(images):
            return answer(logits(self._prepared(images))[0], temperature)

        @tf.function(input_signature=[_BYTES])
        def of_bytes(image_bytes):
            images = decode_batch(image_bytes, self._model.image_size)
            return answer(logits(self._normalised(images))[0], temperature)

        predict = self._add("predict", of_images, signature="serving_default")
        self.signatures["serving_float"] = predict.get_concrete_function(_FLOAT)
        self.module.predict_bytes = of_bytes
        self.signatures["serving_bytes"] = of_bytes.get_concrete_function()

    def add_known_domain(self, rule):
        """Adds a rule that takes each image's domain, as a number or a name."""
        logits = self._logits([rule], _IDS)
        domains = self._model.source_domains

        def by_id(images, domain_ids):
            domain_ids = _checked_ids(domain_ids, images, domains)
            found = logits(self._prepared(images), domain_ids)[0]
            return answer(found, self._temperature(rule))

        def by_name(images, names):
            return by_id(images, _ids_of_names(names, domains))

        name = signature_of(rule)
        self._add(name, by_id, _IDS)
        self._add(f"{name}_by_name", by_name, _NAMES)

    def add_rule(self, rule):
        """Adds a rule that takes images alone."""
        logits, temperature = self._logits([rule]), self._temperature(rule)
        self._add(
            signature_of(rule),
            lambda images: answer(
                logits(self._prepared(images))[0], temperature
            ),
        )

    def add_part(self, rules):
        """Adds the rules of all domains as one, in the order of their ids."""
        logits = self._logits(rules)

        temperatures = [self._temperature(rule) for rule in rules]

        def of_each(images):
            found = tf.stack(logits(self._prepared(images)), axis=1)
            return answer(found, temperatures)

        self._add(signature_of(rules[0]), of_each)

    def add_metadata(self, text):
        """Adds what gives the JSON text."""

        @tf.function(input_signature=[])
        def describe():
            return {"metadata": tf.constant(text)}

        self.module.metadata = tf.function(lambda: tf.constant(text))
        self.module.metadata.get_concrete_function()
        self.signatures["metadata"] = describe.get_concrete_function()

    def _add(self, name, function, *specs, signature=None):
        """Keeps a callable for both dtypes of images, and its signature."""
        function = tf.function(function)
        for images in (_UINT8, _FLOAT):
            function.get_concrete_function(images, *specs)
        setattr(self.module, name, function)
        self.signatures[signature or name] = function.get_concrete_function(
            _UINT8, *specs
        )
        return function

    def _logits(self, rules, *further):
        """Returns the network's part, traced once for all that call it."""
        size, names = self._model.image_size, [rule.name for rule in rules]
        pixels = tf.TensorSpec([None, size, size, 3], tf.float32)

        @tf.function(input_signature=[pixels, *further])
        def logits(*inputs):
            by_name = self._network.logits(inputs[0], names, *inputs[1:])
            return [by_name[name] for name in names]

        return logits

    def _temperature(self, rule) -> float:
        return self._model.calibration_of(rule.name).temperature

    def _prepared(self, images):
        images = resize(_not_empty(images), self._model.image_size)
        return self._normalised(images)

    def _normalised(self, images):
        return normalize(images, self._model.mean, self._model.std)


def decode_batch(image_bytes, size: int):
    """Decodes and resizes images in the graph, by TensorFlow's kernels alone.

    The pixels are those that evaluation has: see `decode` and `resize`.

    Args:
        image_bytes: string [B], JPEG or PNG files.
        size: Side of the result, pixels.

    Returns:
        float32 [B, size, size, 3] in [0, 255].

    Raises:
        tf.errors.InvalidArgumentError: If some are neither; all their
            positions in the batch are named.
    """
    read = or_else(
        lambda contents: (_decode(contents, size), True),
        (tf.zeros([size, size, 3], tf.float32), False),
    )
    image_bytes = _not_empty(image_bytes)
    images, decoded = (
        tf.data.Dataset.from_tensor_slices(image_bytes)
        .map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(tf.size(image_bytes, out_type=tf.int64))
        .get_single_element()
    )
    return _require(
        images,
        decoded,
        "not a complete JPEG or PNG image: image_bytes at position ",
        _positions(~decoded),
    )


def _decode(contents, size):
    image = resize(decode(contents, size, pillow=False), size)
    image.set_shape([size, size, 3])
    return image


def answer(logits, temperature=1.0) -> dict[str, tf.Tensor]:
    """Returns what a client gets.

    Args:
        logits: float32 [..., C], which it gets as they are.
        temperature: See `probabilities`.
    """
    return {
        "logits": logits,
        "probabilities": probabilities(logits, temperature),
        "class_id": tf.argmax(logits, axis=-1, output_type=tf.int32),
    }


def _not_empty(batch):
    # TensorFlow's convolutions fail on one, with words about something else.
    return _require(batch, tf.shape(batch)[0] > 0, "the batch is empty")


def _checked_ids(domain_ids, images, domains):
    # A single id would be taken for all images, and a GPU reads an id out of
    # range as zeros.
    domain_ids = _require(
        domain_ids,
        tf.shape(domain_ids)[0] == tf.shape(images)[0],
        "one domain an image is needed: got ",
        tf.strings.as_string(tf.shape(domain_ids)[0]),
        " for ",
        tf.strings.as_string(tf.shape(images)[0]),
        " images",
    )
    known = (domain_ids >= 0) & (domain_ids < len(domains))
    return _require(
        domain_ids,
        known,
        "unknown domain_ids at position ",
        _positions(~known),
        f"; known: 0 to {len(domains) - 1} ({', '.join(domains)})",
    )


def _ids_of_names(names, domains):
    same = names[:, tf.newaxis] == tf.constant(domains)  # [B, D]
    known = tf.reduce_any(same, axis=1)
    names = _require(
        names,
        known,
        "unknown domain ",
        tf.strings.reduce_join(tf.boolean_mask(names, ~known), separator=", "),
        " at position ",
        _positions(~known),
        f"; known: {', '.join(domains)}",
    )
    same = names[:, tf.newaxis] == tf.constant(domains)
    return tf.argmax(same, axis=1, output_type=tf.int32)


def _positions(where):
    """Bool [B] -> "1, 4", counted from 0."""
    positions = tf.strings.as_string(tf.where(where)[:, 0])
    return tf.strings.reduce_join(positions, separator=", ")


def _require(value, condition, *message):
    """Returns `value`, or fails with the message where not all are true."""
    check = tf.debugging.Assert(
        tf.reduce_all(condition), [tf.strings.join(message)]
    )
    # The session of a server runs what an output depends on, and no more.
    with tf.control_dependencies([check]):
        return tf.identity(value)
