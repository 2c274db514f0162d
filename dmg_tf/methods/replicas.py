"""What replicas of a step tell each other."""

from collections.abc import Sequence

import tensorflow as tf


def mean_over_replicas(tensors: Sequence) -> list:
    """Returns the mean over replicas of each tensor; None stays None.

    Differentiable. With one replica that is what was given.
    """
    return _reduced(tf.distribute.ReduceOp.MEAN, tensors)


def sum_over_replicas(tensors: Sequence) -> list:
    """Returns the sum over replicas of each tensor; None stays None."""
    return _reduced(tf.distribute.ReduceOp.SUM, tensors)


def _reduced(operation, tensors):
    replica = _replica()
    if replica is None:
        return list(tensors)
    given = [x for x in tensors if x is not None]
    found = iter(replica.all_reduce(operation, given))
    return [None if x is None else next(found) for x in tensors]


def gathered(x, axis: int = 0):
    """Returns the rows of all replicas, in their order along an axis.

    Differentiable. Every replica then computes on all rows, so gradients of
    what it computes are summed over replicas on their way to its own rows.
    """
    replica = _replica()
    if replica is None:
        return x
    shape = x.shape.as_list()
    shape[axis] = None
    whole = replica.all_gather(x, axis=axis)
    # Here a gradient of picked rows becomes whole: gathering's takes no other.
    whole = tf.reshape(whole, tf.shape(whole))
    return tf.ensure_shape(whole, shape)


def num_replicas() -> int:
    """Returns how many replicas share a step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def _replica():
    replica = tf.distribute.get_replica_context()
    alone = replica is None or replica.num_replicas_in_sync == 1
    return None if alone else replica
