"""SagNet: the authors' gradients at one place, DomainBed's three updates."""

from unittest import mock

import numpy as np
import tensorflow as tf

from dmg_tf.methods.sagnet import model as sagnet_module
from dmg_tf.training.optimizers import SGD
from tests.golden.checks.files import (
    entries_of,
    gradients,
    in_file_layout,
    load_entries,
    tensors,
)


class Recorder(SGD):
    """An optimiser that keeps each update's gradients, and takes its step."""

    def __init__(self, rate):
        super().__init__(rate, momentum=0.0)
        self.updates = []

    def apply_gradients(self, grads_and_vars):
        """Keeps the gradients, by the variable's path, and moves."""
        grads_and_vars = list(grads_and_vars)
        self.updates.append({v.path: g for g, v in grads_and_vars})
        super().apply_gradients(grads_and_vars)


def style_entries(model):
    """Returns {entry: (variable, axes)} of the style network."""
    return {f"style.{k}": entry for k, entry in model.style_entries().items()}


def drawing(model, partners, shares):
    """Returns a patch by which a model draws these, in their order."""
    partners = iter([tf.constant(x, tf.int32) for x in partners])
    shares = iter([tf.constant(x, tf.float32) for x in shares])
    return mock.patch.multiple(
        model,
        partners=lambda _: next(partners),
        shares=lambda _: next(shares),
    )


def authors(reference):
    """Compares a step on maps; its gradients one by one."""
    meta = reference.meta
    model = reference.model(
        "sagnet",
        sagnet_weight=meta["adversary_weight"],
        sagnet_clip=meta["clip"],
    )
    network, style = entries_of(model), style_entries(model)
    load_entries(reference, style)
    maps, clips = {}, []

    def keeping(name):
        function = getattr(sagnet_module, name)

        def kept(*args):
            maps[name] = function(*args)
            return maps[name]

        return mock.patch.object(sagnet_module, name, kept)

    plain = model.clipped

    def clipped(values):
        clips.append((values, plain(values)))
        return clips[-1][1]

    with (
        drawing(
            model,
            [
                reference["draw/content_partners"],
                reference["draw/style_partners"],
            ],
            [reference["draw/style_shares"]],
        ),
        keeping("with_mixed_style"),
        keeping("with_other_content"),
        mock.patch.object(model, "clipped", clipped),
    ):
        logs = model.train_step(reference.batch())
    ((adversary, after),) = clips
    variables = model.adversary_weights
    whole = gradients(model, network | style, "")
    before = tensors(network, variables, adversary, "adversary/grad/")
    after = tensors(network, variables, after, "adversary_clipped/grad/")
    # One step takes the sum: what is left of it is the content's.
    of_content = {
        name: whole[name] - after.get(f"adversary_clipped/grad/{name}", 0.0)
        for name in network
    }
    return {
        "for_content": tf.transpose(maps["with_mixed_style"], (0, 3, 1, 2)),
        "for_style": tf.transpose(maps["with_other_content"], (0, 3, 1, 2)),
        "loss/content": logs["cross_entropy"],
        "loss/style": logs["style_loss"],
        "loss/adversary": meta["adversary_weight"] * logs["adversary"],
        **{f"content/grad/{name}": x for name, x in of_content.items()},
        **{f"style/grad/{name}": whole[name] for name in style},
        **before,
        **after,
    }


def domainbed(reference):
    """Compares three updates in a row, each with draws of its own."""
    meta = reference.meta
    model = reference.model(
        "sagnet",
        sagnet_form="domainbed",
        sagnet_weight=meta["adversary_weight"],
    )
    network, style = entries_of(model), style_entries(model)
    load_entries(reference, style)
    main, apart = (Recorder(meta["learning_rate"]) for _ in range(2))
    model.compile(main)
    model.use_optimizers({"style": apart})
    stages = ("content", "style", "adversary")
    with drawing(
        model,
        [reference[f"{stage}/draw/partners"] for stage in stages],
        [reference["content/draw/shares"]],
    ):
        logs = model.train_step(reference.batch())
    assert int(main.iterations) == 1
    found = {}
    for stage, update in zip(
        stages, (main.updates[0], *apart.updates, main.updates[1]), strict=True
    ):
        entries = {
            name: entry
            for name, entry in (network | style).items()
            if entry[0].path in update
        }
        values = in_file_layout(entries, lambda v, of=update: of[v.path])
        found |= {f"{stage}/grad/{name}": x for name, x in values.items()}
    after = in_file_layout(network | style, lambda v: np.asarray(v))
    return {
        "content/loss": logs["cross_entropy"],
        "style/loss": logs["style_loss"],
        "adversary/loss": meta["adversary_weight"] * logs["adversary"],
        **{f"after/{name}": x for name, x in after.items()},
        **found,
    }


FILES = {"sagnet": domainbed, "sagnet_map": authors}
