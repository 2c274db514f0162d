"""How fast do images reach the network?

python -m benchmarks.input --data PACS

Training images with the paper's augmentation, from their files and from the
caches, beside torchvision's transforms in a DataLoader of two workers.
"""

import sys
import tempfile
import time

import numpy as np

from benchmarks.side_by_side import (
    Variant,
    compare,
    make_parser,
    print_table,
    ratio,
    run,
    torch_python,
)

# What is prepared ahead of time must not count: each turn first empties it.
_AHEAD = 20


def worker(cache, paths, image_size, batch_size, batches, folder=None):
    """Returns the function that reads batches and gives seconds an image."""
    if cache == "torch":
        loader = _torch_loader(paths, image_size, batch_size)
    else:
        loader = _stream(cache, paths, image_size, batch_size, folder)
    state = {"iterator": iter(loader)}

    def read(count):
        for _ in range(count):
            try:
                next(state["iterator"])
            except StopIteration:  # the loader's epoch is over
                state["iterator"] = iter(loader)
                next(state["iterator"])

    def measure():
        read(_AHEAD)
        begin = time.perf_counter()
        read(batches)
        return (time.perf_counter() - begin) / (batches * batch_size)

    return measure


def _stream(cache, paths, image_size, batch_size, folder):
    from dmg_tf.backbones.pixels import IMAGENET_MEAN, IMAGENET_STD
    from dmg_tf.data.examples import Examples
    from dmg_tf.data.streams.cache import make_cache
    from dmg_tf.data.streams.evaluation import ImageSpec
    from dmg_tf.data.streams.training import TrainingStream

    examples = Examples.make(paths, np.zeros(len(paths), np.int32), 0)
    images = make_cache(cache, image_size, folder)
    images.fill(paths)
    spec = ImageSpec(image_size, IMAGENET_MEAN, IMAGENET_STD, "crop_and_jitter")
    return TrainingStream(
        examples, spec, batch_size, seed=0, images=images
    ).dataset()


def _torch_loader(paths, image_size, batch_size):
    import PIL.Image
    import torch
    from torchvision import transforms

    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(image_size, (0.8, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.4, 0.4, 0.4, 0.4),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)

        def __getitem__(self, index):
            with PIL.Image.open(paths[index], formats=["JPEG"]) as image:
                return augment(image.convert("RGB")), 0

    return torch.utils.data.DataLoader(
        Images(),
        batch_size,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
    )


def main(args) -> None:
    """Prints one table."""
    from dmg_tf.data import detect_dataset
    from dmg_tf.registry import DATASETS

    dataset = detect_dataset("auto", args.data)
    examples = DATASETS[dataset].load(args.data, args.target).train
    options = {
        "paths": examples.paths[:: max(1, len(examples) // args.images)],
        "image_size": args.image_size,
        "batch_size": args.batch_size,
        "batches": args.batches,
    }
    with tempfile.TemporaryDirectory() as folder:
        variants = [
            Variant(name, "input", cache=cache, folder=folder, **options)
            for name, cache in (
                ("files", "none"),
                ("--cache memory", "memory"),
                ("--cache disk", "disk"),
            )
        ]
        torch = torch_python(args.torch)
        if torch:
            variants.append(
                Variant("torchvision", "input", torch, cache="torch", **options)
            )
        found = compare(variants, args.rounds, warm_up=1)
    print_table(
        f"Images with the paper's augmentation, {args.image_size} px, "
        f"{len(options['paths'])} files of {dataset}, median of {args.rounds} "
        f"rounds of {args.batches} batches of {args.batch_size}",
        ("", "images/s", "x torchvision"),
        [
            (
                name,
                f"{1 / np.median(seconds):.0f}",
                ratio(found, "torchvision", name),
            )
            for name, seconds in found.items()
        ],
    )


PARSER = make_parser(
    __doc__,
    data=None,
    target="sketch",
    images=4000,
    image_size=224,
    batch_size=32,
    batches=60,
    rounds=5,
)

if __name__ == "__main__":
    sys.exit(run(PARSER, worker, main))
