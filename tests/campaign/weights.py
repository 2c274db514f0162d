"""Damaged files of weights, in every format that `--weights` takes.

Each is refused in one line that names it, or read; where its format has
checksums, what is read is what was written. Nothing in them is run.
"""

import collections
import io
import os
import pathlib
import random
import sys
import zipfile

import numpy as np
import safetensors.numpy

from tests.backbones.weights.torch_files import (
    archive,
    mutated,
    state_dict,
    stream,
    tensor,
)
from tests.campaign.children import side_by_side
from tests.cases.damage import KINDS

# What a file that is only read has no reason to do.
HARM = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn")
HARM += ("os.fork", "os.remove", "os.rename", "socket.connect")
PART = 500


def attack(root, ground, count, seed, say=print) -> collections.Counter:
    """Loads damaged files of weights into a model.

    Args:
        root: An empty folder.
        ground: Whose run has a model.
        count: How many files.
        seed: Of the damage.
        say: Told of each failure, in a line.

    Returns:
        {what happened: how often}.
    """
    counts = collections.Counter()
    for start in range(0, count, PART):
        numbers = range(start, min(start + PART, count))

        def part(numbers=numbers):
            return _load(pathlib.Path(root), ground, numbers, seed, say)

        try:
            counts.update(side_by_side([part], root))
        except RuntimeError as error:
            counts["ended badly"] += len(numbers)
            say(f"weights {numbers}, seed {seed}: {error}")
    return counts


def _load(root, ground, numbers, seed, say):
    from dmg_tf.config import RunConfig
    from dmg_tf.errors import UserError
    from dmg_tf.methods.build import build_model
    from dmg_tf.training.first_weights.loaded import load_initial_weights

    model = build_model("aggregate", "stub", 2, ("art", "photo"), image_size=32)
    sound = _sound_files(model, ground)

    def load(path):
        config = RunConfig(
            target="sketch",
            backbone="stub",
            method="aggregate",
            weights=str(path),
        )
        load_initial_weights(model, config)
        return [weight.numpy() for weight in model.weights]

    before = {}
    for name, (contents, _) in sound.items():
        path = root / name
        path.write_bytes(contents)
        before[name] = load(path)
    done = watch_harm(root)
    counts = collections.Counter()
    for number in numbers:
        draw = random.Random(f"{seed} {number}")
        name = draw.choice(list(sound))
        contents, has_checksums = sound[name]
        path = root / f"damaged-{name}"
        damage = draw.choice((*KINDS, mutated, mutated))
        path.write_bytes(damage(contents, draw))
        counts["tried"] += 1
        try:
            found = load(path)
        except UserError as error:
            words = str(error)
            clear = words.isprintable() and str(path) in words
            what = "refused in a line" if clear else "line without its name"
        except Exception as error:
            what = f"raised {type(error).__name__}"
        else:
            pairs = zip(found, before[name], strict=True)
            same = all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)
            what = "no effect" if same else "other numbers"
            if not same and not has_checksums:
                what = "read, a format without checksums"
        counts[f"{name}: {what}"] += 1
        if not what.startswith(("refused", "no effect", "read")):
            say(f"weights {number}, seed {seed}: {name}: {what}", flush=True)
        if done:
            counts["something was done"] += 1
            say(f"weights {number}, seed {seed}: {name} did {done}", flush=True)
            done.clear()
    return counts


def _sound_files(model, ground):
    """Returns {name: (contents, whether damage can be told)}."""
    rng = np.random.default_rng(0)
    arrays, entries = {}, {}
    for name, (variable, axes) in model.torchvision_entries().items():
        shape = [0] * len(axes)
        for size, axis in zip(variable.shape, axes, strict=True):
            shape[axis] = size
        arrays[name] = rng.normal(size=shape).astype(np.float32)
    for key, (name, array) in enumerate(arrays.items()):
        steps = [stride // 4 for stride in array.strides]
        entries[name] = tensor(
            str(key), "Float", array.size, array.shape, steps
        )
    numbers = {
        str(key): array.tobytes() for key, array in enumerate(arrays.values())
    }
    npz = io.BytesIO()
    np.savez(npz, **arrays)
    with zipfile.ZipFile(ground.run / "model.keras") as kept:
        keras = kept.read("model.weights.h5")
    return {
        "torch.pth": (archive(state_dict(**entries), numbers), True),
        "old_torch.pth": (stream(state_dict(**entries), numbers), False),
        "net.safetensors": (safetensors.numpy.save(arrays), False),
        "net.npz": (npz.getvalue(), True),
        "keras.weights.h5": (keras, False),
    }


def watch_harm(root):
    """Returns a list of what is done from now on and has no reason."""
    done = []

    def hook(name, args):
        if name.startswith(HARM):
            done.append(name)
        if name == "open" and isinstance(args[2], int):
            writes = args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and not str(args[0]).startswith(str(root)):
                done.append(f"{name} {args[0]}")

    sys.addaudithook(hook)
    return done
