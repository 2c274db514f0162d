"""What a run is made of: one frozen dataclass, the paper's presets, checks.

Every field is a flag of `train.py`. A field that is None takes its value from
the dataset's preset (Sec. 7.5); `resolve` fills them in and checks all of them,
before TensorFlow is loaded and before anything is written.
"""

import argparse
import dataclasses
import json
import math
import pathlib
from collections.abc import Collection
from typing import Any, get_args

import dmg_tf.backbones
import dmg_tf.data
import dmg_tf.methods  # noqa: F401  (these three imports fill the registries)
from dmg_tf.data.service.client import parse_address
from dmg_tf.errors import UserError
from dmg_tf.registry import BACKBONES, DATASETS, METHODS, unknown_name

_PACS = {
    "epochs": 50,
    "batch_size": 64,
    "image_size": 224,
    "learning_rate": 1e-4,
    "weight_decay": 1e-5,
    "schedule": "exponential",
    "classifier_init": "pytorch",
}
# Sec. 7.5 gives PACS and DomainNet. A folder of one's own is taken for PACS'
# like; `shapes` is learned from nothing, which needs a larger step.
PRESETS: dict[str, dict[str, Any]] = {
    "pacs": _PACS,
    "folder": _PACS,
    "domainnet": {
        **_PACS,
        "weight_decay": 0.0,
        "schedule": "inverse",
        "classifier_init": "normal",
    },
    "shapes": {
        **_PACS,
        "epochs": 15,
        "image_size": 64,
        "learning_rate": 1e-3,
    },
}


def _flag(help_text: str, default: Any = None, **extra) -> Any:
    return dataclasses.field(
        default=default, metadata={"help": help_text, **extra}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All choices of one training run; see `train.py --help` for each."""

    target: str = _flag("the domain that training never sees")
    data: str | None = _flag(
        "folder of domains, DIR/<domain>/<class>/<image>, or PACS' own folder "
        "(default: the built-in dataset)",
        metavar="DIR",
    )
    dataset: str = _flag(
        "how to read the folder; auto looks for official lists",
        "auto",
        names=lambda: ("auto", *DATASETS.names()),
    )
    sources: tuple[str, ...] | None = _flag(
        "the domains to train on, in order (default: all but the target)",
        metavar="DOMAIN",
    )
    method: str = _flag("what to train", "dmg", names=METHODS.names)
    backbone: str = _flag("network", "resnet18", names=BACKBONES.names)
    weights: str = _flag(
        "initial weights: auto (imagenet; none for shapes), imagenet, none, or "
        "a file with torchvision's names",
        "auto",
        metavar="{auto,imagenet,none,PATH}",
    )
    mask_sites: tuple[str, ...] | None = _flag(
        "layers whose input is masked (default: the paper's)", metavar="LAYER"
    )
    siou_weight: float = _flag("λ_O, weight of the overlap penalty", 0.1)
    siou_reduction: str = _flag(
        "mean over pairs of domains (official code) or sum (Eq. 2)",
        "mean",
        names=lambda: ("mean", "sum"),
    )
    sparsity_weight: float = _flag(
        "λ_S, weight of the masks' L1 norm (Sec. 7.2)", 0.0
    )
    meta_steps: int = _flag(
        "metareg: inner gradient steps that teach the regulariser", 5
    )
    meta_learning_rate: float = _flag("metareg: rate of the regulariser", 0.01)
    epochs: int | None = _flag("passes over the source images")
    batch_size: int | None = _flag("images a step, on all devices together")
    image_size: int | None = _flag("side of the square input, pixels")
    optimizer: str = _flag(
        "adam (paper) or sgd with momentum 0.9",
        "adam",
        names=lambda: ("adam", "sgd"),
    )
    learning_rate: float | None = _flag("initial rate of the network")
    mask_learning_rate: float | None = _flag(
        "initial rate of the masks (default: the network's)"
    )
    weight_decay: float | None = _flag(
        "added to the gradient of every parameter, times the parameter"
    )
    schedule: str | None = _flag(
        "decay by epoch: exponential (x 0.99), inverse (DomainNet's), constant",
        names=lambda: ("exponential", "inverse", "constant"),
    )
    classifier_init: str | None = _flag(
        "how the last layer starts: pytorch (uniform) or normal (0.001)",
        names=lambda: ("pytorch", "normal"),
    )
    augment: str = _flag(
        "changes to training images: paper (Sec. 7.5), randaugment (crop, flip "
        "and RandAugment), none",
        "paper",
        names=lambda: ("paper", "randaugment", "none"),
    )
    sampling: str = _flag(
        "pooled: every source image once an epoch; balanced: equal shares of "
        "the domains in every batch",
        "pooled",
        names=lambda: ("pooled", "balanced"),
    )
    track_target: bool = _flag(
        "score the target after each epoch too, to see what an oracle would "
        "have selected; it has no part in any choice",
        False,
    )
    on_bad_image: str = _flag(
        "an unreadable image ends the run, or is left out and listed (all "
        "images are read once first)",
        "error",
        names=lambda: ("error", "skip"),
    )
    cache: str = _flag(
        "keep decoded images, so that files are decoded once: in memory (this "
        "run) or on disk (later runs too)",
        "none",
        names=lambda: ("none", "memory", "disk"),
    )
    cache_dir: str | None = _flag(
        "folder of --cache disk (default: ~/.cache/dmg_tf/images)",
        metavar="DIR",
    )
    precision: str = _flag(
        "dtype of the computation; masks, losses and weights stay float32",
        "float32",
        names=lambda: ("float32", "mixed_bfloat16", "mixed_float16"),
    )
    jit: bool = _flag("compile the step with XLA", False)
    strategy: str = _flag(
        "devices to train on: one, mirrored (all GPUs of this machine), "
        "multi_worker (the machines in TF_CONFIG, see docs/scaling.md); auto "
        "takes what there is. A batch is shared out among them",
        "auto",
        names=lambda: ("auto", "one", "mirrored", "multi_worker"),
    )
    data_service: str | None = _flag(
        "tf.data service that prepares the training images, HOST:PORT of its "
        "dispatcher (see docs/scaling.md). With more than one of its workers "
        "the order of the batches is not repeatable",
        metavar="ADDRESS",
    )
    seed: int = _flag("seed of split, order, augmentation, weights, masks", 0)
    output: str | None = _flag(
        "run folder (default: runs/<dataset>-<target>-<method>-<backbone>-"
        "seed<seed>)",
        metavar="DIR",
    )

    @property
    def resolved_mask_learning_rate(self) -> float:
        """The masks' initial rate; the network's unless given (Sec. 7.5)."""
        if self.mask_learning_rate is None:
            return self.learning_rate
        return self.mask_learning_rate

    def resolve(self, dataset: str) -> "RunConfig":
        """Fills in the preset of `dataset`, the output folder, and checks.

        Args:
            dataset: Name in `DATASETS` that "auto" turned out to be.

        Returns:
            A config without open choices, except `mask_sites` and
            `mask_learning_rate`, whose None has a meaning of its own.

        Raises:
            UserError: If a value is out of range or a name is unknown.
        """
        filled = {"dataset": dataset}
        for name, value in PRESETS[dataset].items():
            if getattr(self, name) is None:
                filled[name] = value
        if self.weights == "auto":
            filled["weights"] = "none" if dataset == "shapes" else "imagenet"
        if self.output is None:
            filled["output"] = str(
                pathlib.Path("runs")
                / f"{dataset}-{self.target}-{self.method}-{self.backbone}"
                f"-seed{self.seed}"
            )
        config = dataclasses.replace(self, **filled)
        config.check()
        return config

    def check(self) -> None:
        """Raises UserError for the first name or number that cannot be."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and "names" in field.metadata:
                known = field.metadata["names"]()
                if value not in known:
                    raise unknown_name(_flag_name(field), value, known)
        _in_range(self, "epochs", 1)
        _in_range(self, "meta_steps", 1)
        _in_range(self, "batch_size", 1)
        _in_range(self, "image_size", 32)
        _in_range(self, "seed", 0, 2**31 - 1)
        if self.data_service is not None:
            parse_address(self.data_service)
        if self.data_service is not None and self.cache == "memory":
            raise UserError(
                "--cache memory keeps images in this process, where the "
                "workers of --data-service can't see them; use --cache disk "
                "in a folder that all of them share, or --cache none"
            )
        for name in ("siou_weight", "sparsity_weight", "weight_decay"):
            _in_range(self, name, 0.0)
        for name in (
            "learning_rate",
            "mask_learning_rate",
            "meta_learning_rate",
        ):
            _in_range(self, name, 0.0, above=True)

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, ready for `json.dump`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "RunConfig":
        """Reads what `to_json` wrote.

        Raises:
            UserError: If a key is unknown.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                raise unknown_name("setting in config.json", name, known)
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values.items()
            }
        )

    @classmethod
    def read(cls, run_dir: str | pathlib.Path) -> "RunConfig":
        """Reads `config.json` of a run folder.

        Raises:
            UserError: If the folder holds no readable config.
        """
        path = pathlib.Path(run_dir) / "config.json"
        try:
            return cls.from_json(json.loads(path.read_text("utf-8")))
        except (OSError, json.JSONDecodeError) as error:
            raise UserError(
                f"{run_dir} is not a run folder: cannot read {path} ({error})"
            ) from error


def _flag_name(field) -> str:
    return "--" + field.name.replace("_", "-")


def _in_range(config, name, low, high=math.inf, above=False) -> None:
    value = getattr(config, name)
    if value is None:
        return
    if not (low <= value <= high) or (above and value == low):
        bound = f"above {low:g}" if above else f"at least {low:g}"
        top = "" if high == math.inf else f" and at most {high:g}"
        raise UserError(
            f"--{name.replace('_', '-')} must be {bound}{top}, got {value:g}"
        )


def add_config_flags(
    parser: argparse.ArgumentParser, leave_out: Collection[str] = ()
) -> None:
    """Adds a flag for every field of `RunConfig`.

    Names are checked by `RunConfig.check`, which knows the nearest one.

    Args:
        parser: Where to add them.
        leave_out: Names of fields that get no flag.
    """
    for field in dataclasses.fields(RunConfig):
        if field.name in leave_out:
            continue
        options = {"help": field.metadata["help"], "default": field.default}
        if field.default not in (None, False, ""):
            options["help"] += f" (default: {field.default})"
        options["help"] = options["help"].replace("%", "%%")
        if field.type is bool:
            parser.add_argument(
                _flag_name(field), action="store_true", help=options["help"]
            )
            continue
        if "names" in field.metadata:
            options["metavar"] = "{" + ",".join(field.metadata["names"]()) + "}"
        elif "metavar" in field.metadata:
            options["metavar"] = field.metadata["metavar"]
        kinds = [t for t in get_args(field.type) or (field.type,)]
        if any(getattr(t, "__origin__", None) is tuple for t in kinds):
            options["nargs"] = "+"
        else:
            options["type"] = next(t for t in kinds if t is not type(None))
        options["required"] = field.name == "target"
        parser.add_argument(_flag_name(field), **options)


def args_from_config(config: RunConfig) -> list[str]:
    """Returns the flags of `train.py` that stand for a config.

    What has its default is left out, so the list is what one would type.
    """
    flags = []
    for field in dataclasses.fields(RunConfig):
        value = getattr(config, field.name)
        if value == field.default:
            continue
        if isinstance(value, bool):
            flags.append(_flag_name(field))
        elif isinstance(value, tuple):
            flags += [_flag_name(field), *value]
        else:
            # In one word, as a value may begin with a dash.
            flags.append(f"{_flag_name(field)}={value}")
    return flags


def config_from_args(args: argparse.Namespace) -> RunConfig:
    """Makes the config from parsed flags; names and ranges are checked.

    Raises:
        UserError: If a name is unknown or a number out of range.
    """
    values = {
        field.name: getattr(args, field.name)
        for field in dataclasses.fields(RunConfig)
    }
    config = RunConfig.from_json(values)
    config.check()
    return config
