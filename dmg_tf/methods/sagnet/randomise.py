"""Maps of a batch with others' styles, and with others' content."""

import tensorflow as tf

from dmg_tf.methods.replicas import gathered
from dmg_tf.methods.styles import per_image, style_of

_EPSILON = 1e-5


def with_mixed_style(x, partners, shares):
    """Gives each image a style between its own and its partner's.

    Nam et al., CVPR 2021, Sec. 3.1 (style randomization): means and variances
    are mixed, λ of an image's own. Differs: nothing.

    Args:
        x: [B, H, W, K] or [B, F]; see `style_of`.
        partners: int32 [B], rows of the whole batch of all replicas.
        shares: float32 [B], λ.

    Returns:
        A tensor like `x`.
    """
    mean, variance, plain = _apart(x)
    style = tf.stack([mean, variance], axis=1)
    others = tf.gather(gathered(style), partners)
    shares = per_image(tf.cast(shares, style.dtype), style)
    mixed = shares * style + (1.0 - shares) * others
    return _together(plain, mixed[:, 0], mixed[:, 1], x.dtype)


def with_other_content(x, partners):
    """Gives each image's style to its partner's content, a constant.

    Nam et al., CVPR 2021, Sec. 3.2 (content randomization). Differs: nothing.

    Args:
        x: As above.
        partners: As above.

    Returns:
        A tensor like `x`; a gradient reaches it through the styles alone.
    """
    mean, variance, plain = _apart(x)
    others = tf.gather(gathered(tf.stop_gradient(plain)), partners)
    return _together(others, mean, variance, x.dtype)


def _apart(x):
    """Returns (mean, variance, what is left without both), float32."""
    x = tf.cast(x, tf.float32)
    mean, variance = style_of(x)
    return mean, variance, (x - mean) * tf.math.rsqrt(variance + _EPSILON)


def _together(plain, mean, variance, dtype):
    return tf.cast(plain * tf.sqrt(variance + _EPSILON) + mean, dtype)
