"""Computes with this package what the files of reference values hold."""

import numpy as np
import tensorflow as tf

from dmg_tf.backbones.weights.loading import read_state_dict
from dmg_tf.methods.build import build_model
from dmg_tf.methods.dmg.overlap import siou_penalty, sparsity_penalty
from dmg_tf.training.optimizers import Adam
from tests.golden import weights


def images(batch, size, step, seed):
    """Returns the images of a step, [B, H, W, 3]."""
    array = weights.images(batch, size, step, seed)
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def state_dict(meta):
    """Returns the stand-in weights of a file."""
    return {
        name: weights.weight(name, tuple(shape), meta["seed"])
        for name, shape in meta["state_dict"].items()
    }


# === Domain-specific masks ===


def dmg_model(meta):
    """Returns the model of a file, with its weights and masks."""
    model = build_model(
        "dmg",
        meta["backbone"],
        meta["classes"],
        meta["domains"],
        mask_sites=meta["mask_layers"],
        siou_weight=meta["lambda_overlap"],
        sparsity_weight=meta["lambda_sparsity"],
        image_size=meta["image_size"],
    )
    model.load_torchvision(state_dict(meta))
    for site, mask in model.domain_masks.items():
        size = mask.mask_logits.shape[1]
        mask.mask_logits.assign(
            [
                weights.mask_logits(site, domain, size, meta["seed"])
                for domain in meta["domains"]
            ]
        )
    return model


def batch_of(meta, step):
    """Returns ({"image", "domain_ids"}, labels) of a step."""
    count, seed = meta["batch"], meta["seed"]
    domains = len(meta["domains"])
    inputs = {
        "image": tf.constant(images(count, meta["image_size"], step, seed)),
        "domain_ids": tf.constant(
            weights.domain_ids(count, domains, step, seed), tf.int32
        ),
    }
    labels = weights.labels(count, meta["classes"], step, seed)
    return inputs, tf.constant(labels, tf.int32)


def dmg_predictions(model, meta):
    """Returns the values of `eval/`, as a user's evaluation computes them."""
    inputs, _ = batch_of(meta, 0)
    names = {
        "pred_ens": "eval/prediction_average",
        "mask_ens": "eval/mask_average",
        "known_domain_binary": "eval/threshold_own_domain",
        **{f"mask/{d}": f"eval/soft/{d}" for d in meta["domains"]},
    }
    predict = tf.function(model.logits_by_rule)
    found = predict(
        tf.cast(inputs["image"], model.compute_dtype),
        list(names),
        inputs["domain_ids"],
    )
    return {names[rule]: logits.numpy() for rule, logits in found.items()}


def dmg_mask_values(model):
    """Returns overlap, sparsity and IoU of the masks."""
    found = {}
    for site, mask in model.domain_masks.items():
        probs = mask.mask_probs
        found[f"overlap_penalty/{site}"] = siou_penalty(probs)
        found[f"sparsity_penalty/{site}"] = sparsity_penalty(probs)
    for site, pairs in model.measures()["mask_iou"].items():
        for pair, value in pairs.items():
            pair = "overall" if pair == "mean" else pair.replace("|", ", ")
            found[f"iou/{site}/{pair} IoU-Ov"] = value
    return found


class Trainer:
    """Runs the model's own training step with the reference's draws.

    Args:
        model: A compiled model.
        meta: Of the file.
        graph: Whether in a graph, as users' steps are: tracing one takes
            longer than the few steps of a file.
    """

    def __init__(self, model, meta, graph):
        self.model, self.meta = model, meta
        self.draws = {}
        for site, mask in model.domain_masks.items():
            shape = (meta["batch"], mask.mask_logits.shape[1])
            self.draws[site] = tf.Variable(tf.zeros(shape))
            mask.draw = lambda probs, site=site: self.draws[site] * 1.0
        self._seen = {}
        track, apply = model.track, model.optimizer.apply_gradients

        def see_logits(inputs, labels, step, weights=None):
            self._seen["logits"] = step.logits
            return track(inputs, labels, step, weights=weights)

        def see_gradients(pairs):
            pairs = list(pairs)
            self._seen["gradients"] = [gradient for gradient, _ in pairs]
            self._seen["variables"] = [variable for _, variable in pairs]
            return apply(pairs)

        model.track = see_logits
        model.optimizer.apply_gradients = see_gradients

        def run(data):
            logs = model.train_step(data)
            return logs, self._seen["logits"], self._seen["gradients"]

        self._run = tf.function(run) if graph else run

    def step(self, number):
        """Returns logs, logits and [(variable, gradient)] of a step."""
        meta = self.meta
        for site, draw in self.draws.items():
            draw.assign(
                weights.hard_masks(site, *draw.shape, number, meta["seed"])
            )
        self.model.reset_metrics()
        logs, logits, gradients = self._run(batch_of(meta, number))
        pairs = list(zip(self._seen["variables"], gradients, strict=True))
        return logs, logits, pairs


def dmg_training(model, meta, steps=None, graph=False):
    """Returns the values of `train/` and `final/`; trains the model.

    Args:
        model: The model, with the file's weights.
        meta: Settings of the file.
        steps: How many to take; None for all. With fewer there is no `final/`.
        graph: Whether in a graph.
    """
    optimizer = Adam(meta["learning_rate"], l2=meta["weight_decay"])
    model.compile(optimizer=optimizer, jit_compile=False)
    optimizer.build(model.trainable_variables)
    entry_names = {
        id(variable): name
        for name, (variable, _) in model.torchvision_entries().items()
    }
    sites = {id(m.mask_logits): s for s, m in model.domain_masks.items()}
    trainer = Trainer(model, meta, graph)
    found = {}
    for number in range(steps or meta["steps"]):
        logs, logits, gradients = trainer.step(number)
        found[f"train/{number}/logits"] = logits
        found[f"train/{number}/cross_entropy"] = logs["cross_entropy"]
        found[f"train/{number}/overlap"] = logs["siou"]
        found[f"train/{number}/loss"] = logs["loss"]
        if number:
            continue
        for variable, gradient in gradients:
            if id(variable) in sites:
                for domain, row in zip(meta["domains"], gradient, strict=True):
                    site = sites[id(variable)]
                    found[f"train/0/grad/mask/{site}/{domain}"] = row
            else:
                name = entry_names[id(variable)]
                found[f"train/0/gradnorm/{name}"] = tf.norm(gradient)
    if steps is not None:
        return found
    for site, mask in model.domain_masks.items():
        rows = mask.mask_logits.numpy()
        for domain, row in zip(meta["domains"], rows, strict=True):
            found[f"final/mask/{site}/{domain}"] = row
    inputs, _ = batch_of(meta, 0)
    found["final/eval/prediction_average"] = model.logits(inputs["image"])
    return found


def dmg(meta, graph=True):
    """Returns all values of a file `dmg_*`; trains in a graph or not."""
    model = dmg_model(meta)
    return {
        **dmg_predictions(model, meta),
        **dmg_mask_values(model),
        **dmg_training(model, meta, graph=graph),
    }


# === The baselines and backbones ===


def multi_headed(meta):
    """Returns all values of a file `multihead_*`."""
    model = build_model(
        "multi_headed", meta["backbone"], meta["classes"], meta["domains"]
    )
    heads = {
        f"domain_task_nets.{domain}.0": f"fc.{index}"
        for index, domain in enumerate(meta["domains"])
    }
    renamed = {}
    for name, array in state_dict(meta).items():
        layer, part = name.removeprefix("model_ft.").rsplit(".", 1)
        renamed[f"{heads.get(layer, layer)}.{part}"] = array
    model.load_torchvision(renamed)
    inputs, _ = batch_of(meta, 0)
    found = model.logits_by_rule(
        inputs["image"], ["known_domain", "pred_ens"], inputs["domain_ids"]
    )
    return {
        "eval/own_head": found["known_domain"],
        "eval/head_average": found["pred_ens"],
    }


def efficientnet_model(path):
    """Returns EfficientNet-Lite0 with its ImageNet weights and classes."""
    model = build_model(
        "aggregate", "efficientnet_lite0", 1000, ("a", "b"), image_size=224
    )
    model.load_torchvision(read_state_dict(path), source=str(path))
    return model


def efficientnet_noise(model, meta):
    """Returns the values of `noise/`."""
    found = {}
    for size in meta["sizes"]:
        x = model.feature_extractor(images(4, size, 0, meta["seed"]))
        *stages, last = model.task_network.stages
        for stage in stages:
            x = stage(x)
        found[f"noise/{size}/pooled"] = x
        found[f"noise/{size}/logits"] = last(x)
    return found


def efficientnet_images(model, meta, folder):
    """Returns the values of `image/`."""
    import PIL.Image

    found = {}
    for name in meta["images"]:
        with PIL.Image.open(folder / name) as image:
            image = image.convert("RGB").resize((224, 224), PIL.Image.BICUBIC)
        pixels = np.asarray(image, np.float32) / 255
        pixels = (pixels - np.float32(model.mean)) / np.float32(model.std)
        found[f"image/{name}/logits"] = model.logits(pixels[None])[0]
    return found
