"""What an exported model answers to: images in, predictions out."""

import tensorflow as tf

from dmg_tf.data.images.decoding import decode_jpeg, is_jpeg, or_else
from dmg_tf.data.images.transforms import normalize, resize

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
    model, network, prediction_rule: str, metadata
) -> tuple[tf.Module, dict[str, tf.types.experimental.ConcreteFunction]]:
    """Makes the object and the signatures that a SavedModel is written from.

    Images are [B, H, W, 3] in [0, 255], of any size, uint8 except where said.
    Every prediction is `logits` and `probabilities`, float32 [B, C], and
    `class_id`, int32 [B]. The signatures:

    - `serving_default` (images): by the prediction rule;
    - `serving_float` (images float32 in [0, 255]): the same;
    - `serving_bytes` (image_bytes string [B], JPEG or PNG): the same;
    - `known_domain` (images, domain_ids int32 [B]) and `known_domain_by_name`
      (images, domains string [B]): each image as of its own source domain;
    - `mask_ens` (images): under the mean mask;
    - `per_mask` or `per_head` (images): of every source domain, with an axis
      of D behind the one of B;
    - `metadata` (): a JSON text, string scalar.

    A method has those of its prediction rules. Errors of a request (an image
    that can't be decoded, an unknown domain) are InvalidArgument and name the
    position in the batch.

    Args:
        model: The `DomainModel`; gives domains and how images are prepared.
        network: Its `StoredNetwork`.
        prediction_rule: How the first three predict.
        metadata: JSON text.

    Returns:
        The object to save, and {signature name: its function}.
    """
    size, domains = model.image_size, model.source_domains
    pixels = tf.TensorSpec([None, size, size, 3], tf.float32)

    def core(rules, *further):
        """Returns the network's part, traced once for all that call it."""

        @tf.function(input_signature=[pixels, *further])
        def logits(*inputs):
            found = network.logits(inputs[0], rules, *inputs[1:])
            return [found[rule] for rule in rules]

        return logits

    def prepare(images):
        images = _not_empty(images)
        return normalize(resize(images, size), model.mean, model.std)

    module = ServingModule(name="dmg_tf")
    module.stored = network.variables
    signatures = {}

    def add(name, function, *specs, signature=None):
        """Keeps a callable for both dtypes of images, and its signature."""
        function = tf.function(function)
        for images in (_UINT8, _FLOAT):
            function.get_concrete_function(images, *specs)
        setattr(module, name, function)
        signatures[signature or name] = function.get_concrete_function(
            _UINT8, *specs
        )
        return function

    by_rule = core([prediction_rule])
    predict = add(
        "predict",
        lambda images: answer(by_rule(prepare(images))[0]),
        signature="serving_default",
    )
    signatures["serving_float"] = predict.get_concrete_function(_FLOAT)

    @tf.function(input_signature=[_BYTES])
    def predict_bytes(image_bytes):
        images = decode_batch(image_bytes, size)
        return answer(by_rule(normalize(images, model.mean, model.std))[0])

    module.predict_bytes = predict_bytes
    signatures["serving_bytes"] = predict_bytes.get_concrete_function()

    if "known_domain" in network.rules:
        own = core(["known_domain"], _IDS)

        def known_domain(images, domain_ids):
            domain_ids = _checked_ids(domain_ids, images, domains)
            return answer(own(prepare(images), domain_ids)[0])

        def known_domain_by_name(images, names):
            return known_domain(images, _ids_of_names(names, domains))

        add("known_domain", known_domain, _IDS)
        add("known_domain_by_name", known_domain_by_name, _NAMES)

    if "mask_ens" in network.rules and network.rules != ("mask_ens",):
        mean_mask = core(["mask_ens"])
        add("mask_ens", lambda images: answer(mean_mask(prepare(images))[0]))

    each = [rule for rule in network.rules if "/" in rule]
    if each:
        of_each = core(each)
        add(
            f"per_{each[0].split('/')[0]}",
            lambda images: answer(tf.stack(of_each(prepare(images)), axis=1)),
        )

    @tf.function(input_signature=[])
    def describe():
        return {"metadata": tf.constant(metadata)}

    module.metadata = tf.function(lambda: tf.constant(metadata))
    module.metadata.get_concrete_function()
    signatures["metadata"] = describe.get_concrete_function()
    return module, signatures


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
    image = tf.cond(
        is_jpeg(contents),
        lambda: decode_jpeg(contents, size),
        lambda: tf.io.decode_png(contents, channels=3),
    )
    image = resize(image, size)
    image.set_shape([size, size, 3])
    return image


def answer(logits) -> dict[str, tf.Tensor]:
    """Returns what a client gets, from logits [..., C]."""
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
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
    places = tf.strings.as_string(tf.where(where)[:, 0])
    return tf.strings.reduce_join(places, separator=", ")


def _require(value, condition, *message):
    """Returns `value`, or fails with the message where not all are true."""
    check = tf.debugging.Assert(
        tf.reduce_all(condition), [tf.strings.join(message)]
    )
    # The session of a server runs what an output depends on, and no more.
    with tf.control_dependencies([check]):
        return tf.identity(value)
