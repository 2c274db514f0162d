"""Tucker decomposition of kernels, and layers that compute by it."""

import contextlib
import contextvars
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

# Singular values below this share of the largest are rounding.
_ROUNDING = 1e-7

# Which kernels the layers of this thread take, [B, D + 1]; None for the common
# one. Layers are called within stages, which hand nothing but features on.
_DESCRIPTORS = contextvars.ContextVar("descriptors", default=None)


@contextlib.contextmanager
def under(descriptors):
    """Lets factorised layers compute under given kernels for a while.

    Args:
        descriptors: [B, D + 1]: what each image takes of each domain's own
            kernel and of the common one; None for the common one alone.
    """
    before = _DESCRIPTORS.set(descriptors)
    try:
        yield
    finally:
        _DESCRIPTORS.reset(before)


def singular_vectors(tensor: np.ndarray, mode: int):
    """Decomposes the unfolding of a tensor along a mode.

    Args:
        tensor: Of any rank.
        mode: An axis, of length D_m.

    Returns:
        U [D_m, K] and the singular values [K], the largest first; K is the
        smaller side of the unfolding. Vectors of zeros are zero.
    """
    unfolded = np.moveaxis(np.asarray(tensor, np.float64), mode, 0)
    unfolded = unfolded.reshape(len(unfolded), -1)
    wide = unfolded.shape[0] <= unfolded.shape[1]
    # The smaller Gram matrix: 4096² of a kernel of 9216 x 4096.
    gram = unfolded @ unfolded.T if wide else unfolded.T @ unfolded
    values, vectors = np.linalg.eigh(gram)
    values = np.sqrt(np.maximum(values[::-1], 0))
    vectors = vectors[:, ::-1]
    if not wide:
        known = values > _ROUNDING * values[0]
        scale = np.where(known, values, 1.0)
        vectors = np.where(known, unfolded @ vectors / scale, 0.0)
    return vectors, values


def hosvd(
    tensor: np.ndarray, ranks: Sequence[int | None], seed: int = 0
) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Decomposes a tensor into a core and a factor for each mode.

    De Lathauwer, De Moor and Vandewalle, "A Multilinear Singular Value
    Decomposition", 2000.

    Args:
        tensor: Of any rank.
        ranks: K_m of each mode; None leaves the mode as it is.
        seed: Of the vectors that fill a factor up, where the tensor has less
            than its rank.

    Returns:
        The core, K_m along each mode, and orthonormal factors [D_m, K_m], None
        for modes that are left.
    """
    core, factors = np.asarray(tensor, np.float64), []
    for mode, rank in enumerate(ranks):
        factor = None
        if rank is not None:
            vectors, values = singular_vectors(tensor, mode)
            known = np.sum(values > _ROUNDING * values[0])
            factor = _filled(vectors[:, : min(rank, known)], rank, seed)
            core = multiply(core, factor.T, mode)
        factors.append(factor)
    return core, factors


def compose(core, factors) -> np.ndarray:
    """Returns the tensor of a core and its factors."""
    tensor = core
    for mode, factor in enumerate(factors):
        if factor is not None:
            tensor = multiply(tensor, factor, mode)
    return tensor


def multiply(tensor, matrix, mode: int) -> np.ndarray:
    """Multiplies a tensor along a mode by a matrix [new, D_m]."""
    moved = np.tensordot(matrix, tensor, axes=(1, mode))
    return np.moveaxis(moved, 0, mode)


def _filled(vectors, rank, seed):
    """Adds orthonormal columns up to a number."""
    missing = rank - vectors.shape[1]
    if not missing:
        return vectors
    more = np.random.default_rng(seed).normal(size=(len(vectors), missing))
    more -= vectors @ (vectors.T @ more)
    return np.linalg.qr(np.concatenate([vectors, more], axis=1))[0]


@keras.saving.register_keras_serializable("dmg_tf")
class TuckerLayer(keras.layers.Layer):
    """A linear layer with a kernel for each domain, by a tensor of low rank.

    The kernels 𝒲 [..., I, O, D + 1], those of the domains' own parts and the
    common one last, are a core 𝒢 [..., K_I, K_O, K_D] times a factor for
    inputs, outputs and domains. An image of domain d has the d-th kernel plus
    the last; one of no known domain the last alone. Spatial modes have no
    factor. All images of a batch go through the core at once, each mixes what
    comes out.

    Args:
        plain: The layer in whose place it is, dense or a convolution without
            groups; it is not kept, its name, bias and geometry are.
        num_domains: Number of source domains D.
        ranks: (I, O) -> (K_I, K_O, K_D).

    Call arguments:
        inputs: [B, ..., I]. The kernels are those of `under`.

    Weights:
        core: [..., K_I, K_O, K_D].
        factor_in: [I, K_I]; factor_out: [O, K_O]; factor_domain: [D + 1, K_D].
        bias: [O] and domain_biases [D, O], where the plain layer has one.
    """

    def __init__(
        self,
        plain,
        num_domains: int,
        ranks: Callable[[int, int], tuple[int, int, int]],
        **kwargs,
    ):
        kwargs.setdefault("name", plain.name)
        super().__init__(**kwargs)
        self.num_domains = num_domains
        self.ranks_of = ranks
        self.num_outputs = outputs_of(plain)
        self.spatial = tuple(getattr(plain, "kernel_size", ()))
        self.has_bias = plain.use_bias
        # A layer of its own would be one with a kernel.
        copy = type(plain).from_config(plain.get_config())
        self._linear = copy.convolution_op if self.spatial else tf.matmul
        self._output_shape = copy.compute_output_shape

    def build(self, shape):
        """Makes the weights, zero but for what `start` sets."""
        rows = (shape[-1], self.num_outputs, self.num_domains + 1)
        self.ranks = self.ranks_of(*rows[:2])
        self.core = self._weight("core", (*self.spatial, *self.ranks))
        self.factor_in, self.factor_out, self.factor_domain = (
            self._weight(f"factor_{name}", (size, rank))
            for name, size, rank in zip(
                ("in", "out", "domain"), rows, self.ranks, strict=True
            )
        )
        if self.has_bias:
            self.bias = self._weight("bias", (self.num_outputs,))
            self.domain_biases = self._weight(
                "domain_biases", (self.num_domains, self.num_outputs)
            )

    def _weight(self, name, shape):
        return self.add_weight(name=name, shape=shape, initializer="zeros")

    def call(self, inputs):
        """Returns [B, ..., O]."""
        descriptors = _DESCRIPTORS.get()
        core = tf.convert_to_tensor(self.core)
        factor_domain = tf.convert_to_tensor(self.factor_domain)
        x = tf.tensordot(inputs, self.factor_in, 1)
        if descriptors is None:
            kernel = tf.tensordot(core, factor_domain[-1], 1)
            x = self._linear(x, kernel)  # [B, ..., K_O]
        else:
            descriptors = tf.cast(descriptors, x.dtype)
            flat = tf.reshape(core, [*core.shape[:-2], -1])
            x = self._linear(x, flat)
            x = tf.reshape(x, tf.concat([tf.shape(x)[:-1], core.shape[-2:]], 0))
            mixed = tf.matmul(descriptors, factor_domain)  # [B, K_D]
            x = tf.einsum("b...om,bm->b...o", x, mixed)
        x = tf.tensordot(x, self.factor_out, [[-1], [1]])
        return x + self._biases(descriptors, x) if self.has_bias else x

    def _biases(self, descriptors, x):
        bias = tf.convert_to_tensor(self.bias)
        if descriptors is None:
            return bias
        bias += tf.matmul(descriptors[:, :-1], self.domain_biases)
        return tf.reshape(bias, [-1, *[1] * (len(x.shape) - 2), bias.shape[-1]])

    def compute_output_shape(self, input_shape):
        """Returns the plain layer's [B, ..., O]."""
        return self._output_shape(input_shape)

    def start(self, kernel, bias=None, seed: int = 0) -> float:
        """Starts from a plain layer's weights: no domain differs yet.

        Domains have a component of their own each, of which the core is zero.
        A decomposition of all kernels would find that they are one, and give
        the domains a single component, by which they could but be scaled.

        Args:
            kernel: [..., I, O].
            bias: [O], or None.
            seed: See `hosvd`.

        Returns:
            The share of the kernel's squares that its ranks keep.
        """
        kernel = np.asarray(kernel, np.float64)
        left = [None] * len(self.spatial)
        common, factors = hosvd(kernel, [*left, *self.ranks[:2]], seed)
        core = np.zeros(self.core.shape)
        core[..., -1] = common
        self.core.assign(core)
        self.factor_in.assign(factors[-2])
        self.factor_out.assign(factors[-1])
        self.factor_domain.assign(np.eye(*self.factor_domain.shape))
        if self.has_bias:
            self.bias.assign(bias)
            self.domain_biases.assign(np.zeros(self.domain_biases.shape))
        return float(np.sum(common**2) / np.sum(kernel**2))

    def kernels(self) -> np.ndarray:
        """Returns 𝒲 [..., I, O, D + 1], the common kernel last."""
        factors = (self.factor_in, self.factor_out, self.factor_domain)
        left = [None] * len(self.spatial)
        return compose(
            self.core.numpy(), [*left, *(f.numpy() for f in factors)]
        )


def outputs_of(layer) -> int:
    """Returns the number of outputs O of a dense layer or a convolution."""
    if isinstance(layer, keras.layers.Dense):
        return layer.units
    return layer.filters


def can_be_factorised(layer, pointwise: bool = False) -> bool:
    """Returns whether a layer is dense or a convolution without groups.

    Args:
        layer: Any layer.
        pointwise: Whether convolutions must be 1 x 1.
    """
    if isinstance(layer, keras.layers.Dense):
        return True
    if not isinstance(layer, keras.layers.Conv2D) or layer.groups > 1:
        return False
    return not pointwise or set(layer.kernel_size) == {1}
