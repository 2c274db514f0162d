"""Predicts a stream of image files, whatever some of them are."""

import dataclasses
import threading
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import tensorflow as tf

from dmg_tf.data.images.bad_images import why_unreadable
from dmg_tf.data.images.decoding import count_pixels, decode, or_else
from dmg_tf.data.images.transforms import resize
from dmg_tf.evaluation.agreement import agreement, votes
from dmg_tf.predict.inputs import why_not_a_file

# Paths that Python hands over at a time.
_CHUNK = 64
# Images of more pixels are decoded one at a time, so that many of them in a
# row, on many cores, can't fill the memory.
_LARGE = 16_000_000
_ONE_AT_A_TIME = threading.Lock()
# Stands for a reason that is worked out later, outside the graph.
_UNDECODED = "?"


@dataclasses.dataclass(frozen=True)
class Answers:
    """What a model says of a batch.

    Attributes:
        class_ids: int32 [B, K], the likeliest classes, best first.
        probabilities: float32 [B, K], theirs.
        domain_class_ids: int32 [B, D], the class by each domain rule.
        domain_probabilities: float32 [B, D], theirs.
        votes: float32 [B], see `votes`.
        agreement: float32 [B], see `agreement`.
    """

    class_ids: np.ndarray
    probabilities: np.ndarray
    domain_class_ids: np.ndarray | None = None
    domain_probabilities: np.ndarray | None = None
    votes: np.ndarray | None = None
    agreement: np.ndarray | None = None


def predict_stream(
    predictor, paths: Iterable[str], batch_size: int, top_k: int = 1
) -> Iterator[tuple[list[str], list[str], Answers | None]]:
    """Predicts image files, a batch at a time, in their order.

    No more than a few batches are in memory.

    Args:
        predictor: A `Predictor`.
        paths: Files, as text.
        batch_size: Images a batch; the last one may be smaller.
        top_k: Number of classes K of an answer.

    Yields:
        The paths of a batch, the reason why each can't be read, or "", and the
        answers. Those of an unreadable file mean nothing; None if all are.
    """
    size = predictor.facts.image_size

    @tf.function(
        input_signature=[tf.TensorSpec([None, size, size, 3], tf.float32)],
        autograph=False,
    )
    def step(images):
        return _answers(*predictor.probabilities(images), top_k)

    for names, images, reasons in read_images(paths, size, batch_size):
        answers = None
        if not all(reasons):
            found = step(images).items()
            answers = Answers(**{name: v.numpy() for name, v in found})
        yield names, reasons, answers


def read_images(
    paths: Iterable[str], size: int, batch_size: int
) -> Iterator[tuple[list[str], tf.Tensor, list[str]]]:
    """Reads image files, a batch at a time, in their order.

    Args:
        paths: Files, as text.
        size: Side of the result, pixels.
        batch_size: Images a batch; the last one may be smaller.

    Yields:
        The paths of a batch, float32 [B, size, size, 3] in [0, 255], and the
        reason why each can't be read, or "". Such an image is zeros.
    """
    for names, images, problems in image_batches(paths, size, batch_size):
        names = [_text(name) for name in names.numpy()]
        reasons = []
        for name, problem in zip(names, problems.numpy(), strict=True):
            reason = _text(problem)
            if reason == _UNDECODED:
                reason = " ".join(why_unreadable(name).split())
            reasons.append(reason)
        yield names, images, reasons


def image_batches(
    paths: Iterable[str], size: int, batch_size: int
) -> tf.data.Dataset:
    """Reads, decodes and resizes image files in parallel, in their order.

    Args:
        paths: Files, as text.
        size: Side of the result, pixels.
        batch_size: Images a batch; the last one may be smaller.

    Returns:
        Dataset of (paths string [B], images float32 [B, size, size, 3] in
        [0, 255], problems string [B]). An image with a problem is zeros.
    """
    blank = tf.zeros([size, size, 3], tf.float32)

    def chunks():
        # Handing over single paths would cost more than decoding small images.
        rest = iter(paths)
        while chunk := list(islice(rest, _CHUNK)):
            yield (
                [_bytes(path) for path in chunk],
                [_bytes(why_not_a_file(path)) for path in chunk],
            )

    def read(path):
        contents = tf.io.read_file(path)
        image = tf.cond(
            count_pixels(contents) > _LARGE,
            lambda: tf.numpy_function(read_large, [contents], tf.float32),
            lambda: read_small(contents),
        )
        return tf.ensure_shape(image, [size, size, 3]), ""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def read_small(contents):
        return resize(decode(contents, size), size)

    def read_large(contents):
        with _ONE_AT_A_TIME:
            return read_small(tf.constant(contents)).numpy()

    def load(path, problem):
        image, problem = tf.cond(
            tf.equal(problem, ""),
            lambda: or_else(read, (blank, _UNDECODED))(path),
            lambda: (blank, problem),
        )
        return path, image, problem

    strings = tf.TensorSpec([None], tf.string)
    return (
        tf.data.Dataset.from_generator(
            chunks, output_signature=(strings, strings)
        )
        .unbatch()
        .map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size)
        .prefetch(2)
    )


def _answers(logits, domain_logits, shares, domain_shares, top_k):
    # The order of the logits, as in evaluation: probabilities can be equal
    # where logits are not.
    _, class_ids = tf.math.top_k(logits, top_k)
    answers = {
        "class_ids": class_ids,
        "probabilities": tf.gather(shares, class_ids, axis=1, batch_dims=1),
    }
    if domain_logits is not None:
        ids = tf.argmax(domain_logits, axis=-1, output_type=tf.int32)
        answers["domain_class_ids"] = ids
        answers["domain_probabilities"] = tf.reduce_max(domain_shares, axis=-1)
        answers["votes"] = votes(ids, class_ids[:, 0])
        answers["agreement"] = agreement(domain_shares)
    return answers


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
