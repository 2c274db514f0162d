"""DANN: one joint step, and the alternating one without and with penalty."""

from tests.golden.checks.files import (
    Recorder,
    entries_of,
    gradients,
    in_file_layout,
    layer_entries,
    load_entries,
)


def discriminator_entries(model):
    """Returns {entry: (variable, axes)} of the domain classifier."""
    dense = [layer for layer in model.discriminator.layers if layer.weights]
    found = {}
    for index, layer in enumerate(dense):
        found |= layer_entries(layer, f"discriminator.{index}")
    return found


def made(reference, **options):
    """Returns a model with the file's weights, and its discriminator's."""
    biases = [
        value
        for key, value in sorted(reference.part("param/discriminator.").items())
        if key.endswith("bias")
    ]
    model = reference.model(
        "dann",
        dann_reversal=reference.meta["weight"],
        dann_schedule="constant",
        dann_layers=len(biases) - 1,
        dann_width=len(biases[0]),
        **options,
    )
    entries = discriminator_entries(model)
    load_entries(reference, entries)
    return model, entries


def joint(reference):
    """Compares a step with the gradient reversal."""
    model, entries = made(reference)
    logs = model.train_step(reference.batch())
    return {
        "loss/cross_entropy": logs["cross_entropy"],
        "loss/domain": logs["domain_loss"],
        "loss/total": logs["loss"],
        **gradients(model, entries_of(model) | entries),
    }


def alternating(reference, prefix, penalty=0.0):
    """Compares the two updates of an alternating step."""
    model, entries = made(
        reference, dann_update="alternating", dann_gradient_penalty=penalty
    )
    recorder = Recorder()
    model.use_optimizers({"discriminator": recorder})
    logs = model.train_step(reference.batch())
    discriminator = in_file_layout(entries, recorder.of)
    return {
        f"{prefix}/loss/generator": logs["loss"],
        f"{prefix}/loss/discriminator": logs["domain_loss"]
        + penalty * logs.get("gradient_penalty", 0.0),
        **gradients(model, entries_of(model), f"{prefix}/grad/"),
        **{f"{prefix}/grad/{k}": v for k, v in discriminator.items()},
    }


def dann(reference):
    """Compares all three."""
    penalty = reference.meta["gradient_penalty"]
    return {
        **joint(reference),
        **alternating(reference, "alternating"),
        **alternating(reference, "alternating_penalty", penalty),
    }


FILES = {"dann": dann}
