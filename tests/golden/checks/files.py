"""A file of the methods' reference values, and a model that it describes."""

import json
import pathlib

import keras
import numpy as np

from dmg_tf.backbones.blocks import torchvision_entries
from dmg_tf.methods.build import build_model
from dmg_tf.registry import BACKBONES
from tests.golden.checks.tiny import TINY

FOLDER = pathlib.Path(__file__).parent.parent / "methods"
# What the reference was given; everything else it computed.
GIVEN = ("images", "labels", "domain_ids", "meta")


class Reference:
    """A file: what the reference was given and what it computed.

    Args:
        path: The `.npz`.

    Attributes:
        meta: Settings of the step.
        arrays: {key: array}, all of the file.
    """

    def __init__(self, path):
        with np.load(path) as file:
            self.arrays = dict(file)
        self.meta = json.loads(str(self.arrays["meta"]))
        self.name = pathlib.Path(path).stem

    def __getitem__(self, key):
        return self.arrays[key]

    def expected(self, given=()) -> dict[str, np.ndarray]:
        """Returns what the reference computed.

        Args:
            given: Further keys, or beginnings of keys that end in "/", of what
                it was given.
        """
        given = (*GIVEN, *given)
        beginnings = tuple(g for g in (*given, "param/", "draw/") if "/" in g)
        return {
            key: value
            for key, value in self.arrays.items()
            if key not in given
            and not key.startswith(beginnings)
            and "/draw/" not in key
        }

    def part(self, start) -> dict[str, np.ndarray]:
        """Returns {rest of the key: array} of keys that begin with `start`."""
        return {
            key.removeprefix(start): value
            for key, value in self.arrays.items()
            if key.startswith(start)
        }

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the source domains, by their ids."""
        return tuple(str(d) for d in np.unique(self["domain_ids"]))

    @property
    def order(self) -> np.ndarray:
        """Rows such that row i is of domain i mod D, as the pipeline does."""
        ids = self["domain_ids"]
        rows = [np.flatnonzero(ids == d) for d in np.unique(ids)]
        return np.stack(rows, axis=1).reshape(-1)

    def batch(self, by_domain=False):
        """Returns (inputs, labels) in our layout, rows as in the file.

        Args:
            by_domain: Whether row i is to be of domain i mod D.
        """
        rows = self.order if by_domain else np.arange(len(self["labels"]))
        images = self["images"].transpose(0, 2, 3, 1)[rows]
        inputs = {
            "image": images.astype(np.float32),
            "domain_ids": self["domain_ids"][rows].astype(np.int32),
        }
        return inputs, self["labels"][rows].astype(np.int32)

    def model(self, method, **options):
        """Returns the method's model of the tiny network, weights loaded.

        Further networks of the method keep their own: see `load_entries`.
        """
        with BACKBONES.with_name("tiny", TINY):
            model = build_model(
                method,
                "tiny",
                len(self["param/classifier.bias"]),
                self.domains,
                image_size=self["images"].shape[-1],
                **options,
            )
        own = {name: self[f"param/{name}"] for name in entries_of(model)}
        model.load_torchvision(own, self.name)
        model.compile(Recorder())
        return model


class Recorder(keras.optimizers.SGD):
    """An optimiser that keeps the gradients it is handed, and moves nothing."""

    def __init__(self):
        super().__init__(learning_rate=0.0)
        self.gradients = {}

    def apply_gradients(self, grads_and_vars):
        """Keeps the gradients, by the variable's path."""
        for gradient, variable in grads_and_vars:
            self.gradients[variable.path] = gradient
        self.iterations.assign_add(1)

    def of(self, variable):
        """Returns a variable's gradient; zeros where it got none."""
        gradient = self.gradients.get(variable.path)
        if gradient is None:
            return np.zeros(variable.shape)
        return np.asarray(gradient)


class Watched:
    """Keeps what a function was given and what it returned."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def __call__(self, *args):
        self.calls.append((args, self.function(*args)))
        return self.calls[-1][1]


def entries_of(model) -> dict[str, tuple]:
    """Returns {entry: (variable, axes)} of the network itself."""
    return model.torchvision_entries()


def layer_entries(layer, name) -> dict[str, tuple]:
    """Returns {entry: (variable, axes)} of one further layer.

    Args:
        layer: A dense or convolutional layer.
        name: What the file calls it.
    """
    return {
        f"{name}.{key.rpartition('.')[2]}": value
        for key, value in torchvision_entries([layer]).items()
    }


def load_entries(reference, entries, prefix="param/") -> None:
    """Assigns a file's parameters to variables."""
    for name, (variable, axes) in entries.items():
        variable.assign(reference[prefix + name].transpose(axes))


def in_file_layout(entries, value_of) -> dict[str, np.ndarray]:
    """Returns {entry: array as the file has it}.

    Args:
        entries: {entry: (variable, axes)}.
        value_of: (variable) -> array of its shape.
    """
    return {
        name: np.asarray(value_of(variable)).transpose(np.argsort(axes))
        for name, (variable, axes) in entries.items()
    }


def gradients(model, entries, prefix="grad/") -> dict[str, np.ndarray]:
    """Returns what a step handed to the optimiser, keyed as in the file."""
    found = in_file_layout(entries, model.optimizer.of)
    return {prefix + name: value for name, value in found.items()}


def tensors(entries, variables, values, prefix) -> dict[str, np.ndarray]:
    """Returns tensors that stand for variables, keyed as in the file.

    Args:
        entries: {entry: (variable, axes)}; those not among `variables` are
            left out.
        variables: Variables in the order of `values`.
        values: What to return of each.
        prefix: Beginning of the keys.
    """
    by_variable = {id(v): x for v, x in zip(variables, values, strict=True)}
    chosen = {k: e for k, e in entries.items() if id(e[0]) in by_variable}
    found = in_file_layout(chosen, lambda v: by_variable[id(v)])
    return {prefix + name: value for name, value in found.items()}


def of_each_source(model, logs, name) -> np.ndarray:
    """Returns what a step reports of each source, in the order of their ids.

    Args:
        model: Its sources have the names of the logs.
        logs: What the step returned.
        name: One of the spec's `metrics_by_domain`.
    """
    return np.array([logs[f"{name}_{d}"] for d in model.source_domains])
