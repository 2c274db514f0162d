"""What a run is made of: one frozen dataclass, its checks, its JSON.

Every setting is a flag of `dmg-tf train`; those of a method are its own
(`dmg_tf.methods`). A setting that is None takes its value from the method or
from the dataset's preset (Sec. 7.5); `resolve` fills them in and checks all of
them, before TensorFlow is loaded and before anything is written.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dmg_tf.backbones
import dmg_tf.data
import dmg_tf.methods  # noqa: F401  (these three imports fill the registries)
from dmg_tf import settings
from dmg_tf.config import recipes
from dmg_tf.data.names import NO_TARGET, nfc
from dmg_tf.data.service.client import parse_address
from dmg_tf.errors import DamagedFile, UserError, unknown_name
from dmg_tf.files import name_part
from dmg_tf.folders.checksums import read_json
from dmg_tf.methods.spec import Batches, no_option, owners_of
from dmg_tf.registry import BACKBONES, DATASETS, METHODS, file_part
from dmg_tf.settings import flag_of, names_of, setting

if TYPE_CHECKING:
    from dmg_tf.data.examples import DomainData

# What neither a recipe, a method nor a dataset's preset says.
DEFAULTS = {
    "recipe": recipes.PAPER,
    "train": "all",
    "augment": "paper",
    "optimizer": "adam",
    "sharpness": "none",
    "average": "none",
    "sampling": "pooled",
}
# {(setting, word): what that word alone asks for, and its default}.
PARTS: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("average", "ema"): {"ema_decay": 0.999},
    ("average", "swad"): {
        "swad_converge": 3,
        "swad_patience": 6,
        "swad_tolerance": 0.3,
    },
    ("mix", "mixup"): {"mix_alpha": 0.2},
    ("mix", "cutmix"): {"mix_alpha": 1.0},
    ("train", "task_network"): {"views": 4},
    ("train", "classifier"): {"views": 4},
    ("sharpness", "sam"): {"sharpness_radius": 0.05},
    ("sharpness", "sagm"): {
        "sharpness_radius": 0.05,
        "sharpness_alpha": 1e-3,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All choices of one training run; see `dmg-tf train --help` for each.

    Attributes:
        options: The method's own: an object of its spec's `options`; made of a
            dict {name: value} too, and of None for the defaults.
    """

    target: str = setting(
        "the domain that training never sees; none for the final model, which "
        "learns from all (required)",
        metavar="DOMAIN",
        group="data",
    )
    data: str | None = setting(
        "folder of domains, DIR/<domain>/<class>/<image>, or PACS' own folder, "
        "or a table (.csv) with path, label and domain (default: the built-in "
        "dataset)",
        metavar="DIR",
        group="data",
    )
    dataset: str = setting(
        "how to read the folder; auto looks for official lists, and for the "
        "domains of datasets that it knows",
        "auto",
        names=lambda: ("auto", *DATASETS.names()),
        group="data",
    )
    sources: tuple[str, ...] | None = setting(
        "the domains to train on, in order (default: all but the target)",
        metavar="DOMAIN",
        group="data",
    )
    split: str = setting(
        "what is learned from, selects and is scored: the dataset's own "
        "(given), or DomainBed's 80/20 of each domain, at random by seed",
        "given",
        names=lambda: ("given", "domainbed"),
        group="data",
    )
    unknown_classes: str = setting(
        "images of the target of a class that no source has: leave them out "
        "and count them, or end",
        "ignore",
        names=lambda: ("ignore", "error"),
        group="data",
    )
    on_bad_image: str = setting(
        "an unreadable image ends the run, or is left out and listed (all "
        "images are read once first)",
        "error",
        names=lambda: ("error", "skip"),
        group="data",
    )
    method: str = setting(
        "what to train; its own options are a group below",
        "dmg",
        names=METHODS.names,
        group="model",
    )
    backbone: str = setting(
        "network; keras:NAME is a model of keras.applications, keras_hub:NAME "
        "a preset of KerasHub or its folder",
        "resnet18",
        names=BACKBONES.choices,
        check=functools.partial(BACKBONES.check, kind="--backbone"),
        group="model",
    )
    weights: str = setting(
        "initial weights: auto (imagenet; none for the built-in dataset), "
        "imagenet, none, or a file with torchvision's names",
        "auto",
        metavar="{auto,imagenet,none,PATH}",
        group="model",
    )
    classifier_init: str | None = setting(
        "how the last layer starts: pytorch (uniform), normal (0.001), or "
        "fitted to what the weights make of the sources' images (least "
        "squares)",
        names=lambda: ("pytorch", "normal", "fitted"),
        group="model",
    )
    image_size: int | None = setting(
        "side of the square input, pixels", at_least=32, group="images"
    )
    augment: str | None = setting(
        "changes to training images: paper (Sec. 7.5); randaugment or augmix "
        "behind a crop and flip; randaugment_tfa, the same on TensorFlow "
        "Addons; none",
        names=lambda: (
            *("paper", "randaugment", "randaugment_tfa", "augmix", "none"),
        ),
        group="images",
    )
    mix: str = setting(
        "mix each training image, and its label, with another of the batch: "
        "mixup (a weighted sum) or cutmix (a box of the other). Where the "
        "method learns from domains it is one of the same domain; --method "
        "mixup mixes two domains",
        "none",
        names=lambda: ("none", "mixup", "cutmix"),
        group="images",
    )
    mix_alpha: float | None = setting(
        "α: shares are drawn from Beta(α, α), below 1 mostly near 0 or 1",
        above=0,
        group="images",
    )
    cache: str = setting(
        "keep decoded images, so that files are decoded once: in memory (this "
        "run) or on disk (later runs too)",
        "none",
        names=lambda: ("none", "memory", "disk"),
        group="images",
    )
    cache_dir: str | None = setting(
        "folder of --cache disk (default: ~/.cache/dmg_tf/images)",
        metavar="DIR",
        group="images",
    )
    data_service: str | None = setting(
        "tf.data service that prepares the training images, HOST:PORT of its "
        "dispatcher (see docs/scaling.md). With more than one of its workers "
        "the order of the batches is not repeatable",
        metavar="ADDRESS",
        check=parse_address,
        group="images",
    )
    recipe: str | None = setting(
        "what flags that are not given stand for: the paper's settings; "
        "strong, which the sources' validation liked better; or by_size, what "
        "suits the number of images (docs/recipes.md)",
        names=lambda: recipes.RECIPES,
        group="training",
    )
    train: str | None = setting(
        "what learns: all, the task network (from the first masked layer on), "
        "or the classifier (the last layer); what does not learn is computed "
        "once, on --views of each image",
        names=lambda: ("all", "task_network", "classifier"),
        group="training",
    )
    views: int | None = setting(
        "augmented views of each training image that the frozen part computes",
        at_least=1,
        metavar="N",
        group="training",
    )
    epochs: int | None = setting(
        "passes over the source images", at_least=0, group="training"
    )
    batch_size: int | None = setting(
        "images a step, on all devices together",
        at_least=1,
        axis="--batch-sizes",
        group="training",
    )
    optimizer: str | None = setting(
        "adam (paper), adamw (decoupled weight decay) or sgd with momentum 0.9",
        names=lambda: ("adam", "adamw", "sgd"),
        group="training",
    )
    learning_rate: float | None = setting(
        "initial rate of the network",
        above=0,
        axis="--learning-rates",
        group="training",
    )
    weight_decay: float | None = setting(
        "added to the gradient of every parameter, times the parameter; of "
        "adamw the share that it shrinks by, times the rate",
        at_least=0,
        axis="--weight-decays",
        group="training",
    )
    schedule: str | None = setting(
        "decay by epoch: exponential (x 0.99), inverse (DomainNet's), "
        "constant; or cosine, step by step, to 0 at the end",
        names=lambda: ("exponential", "inverse", "constant", "cosine"),
        group="training",
    )
    warmup: float | None = setting(
        "epochs in which the rate grows to the first one",
        at_least=0,
        metavar="EPOCHS",
        group="training",
    )
    gradient_clip: float | None = setting(
        "the greatest norm of a step's gradient (default: any)",
        above=0,
        metavar="NORM",
        group="training",
    )
    freeze_batch_norm: bool = setting(
        "keep batch normalisation's running statistics as the weights' file "
        "has them, and use them in training too",
        False,
        group="training",
    )
    label_smoothing: float | None = setting(
        "share of each label that is spread over all classes",
        at_least=0,
        at_most=0.99,
        axis="--label-smoothings",
        group="training",
    )
    class_weights: str = setting(
        "how much an image counts: none (all alike) or balanced (all classes "
        "alike)",
        "none",
        names=lambda: ("none", "balanced"),
        group="training",
    )
    sharpness: str | None = setting(
        "take the gradient where the loss is worst nearby: sam, or sagm (its "
        "mean with the gradient here); a step costs two",
        names=lambda: ("none", "sam", "sagm"),
        group="training",
    )
    sharpness_radius: float | None = setting(
        "how far nearby is, in norm of all weights",
        above=0,
        axis="--sharpness-radii",
        group="training",
    )
    sharpness_alpha: float | None = setting(
        "sagm: how much of the gradient is taken off",
        at_least=0,
        group="training",
    )
    average: str | None = setting(
        "average the weights: ema (moving, scored in their place) or swad (of "
        "all steps in the valley of the validation loss)",
        names=lambda: ("none", "swad", "ema"),
        group="training",
    )
    ema_decay: float | None = setting(
        "ema: share of the average that a step keeps",
        above=0,
        at_most=0.999999,
        group="training",
    )
    swad_converge: int | None = setting(
        "swad: validations of which the first must be the lowest to start",
        at_least=1,
        metavar="N",
        group="training",
    )
    swad_patience: int | None = setting(
        "swad: validations in a row above the threshold to end",
        at_least=1,
        metavar="N",
        group="training",
    )
    swad_tolerance: float | None = setting(
        "swad: how much the threshold is above the loss at the start",
        at_least=0,
        metavar="SHARE",
        group="training",
    )
    patience: int | None = setting(
        "end the run after so many validations without a better one",
        at_least=1,
        metavar="N",
        group="training",
    )
    sampling: str | None = setting(
        "pooled: every source image once an epoch; balanced: equal shares of "
        "the domains in every batch",
        names=lambda: ("pooled", "balanced"),
        group="training",
    )
    validate_every: int | None = setting(
        "steps between validations; the run then ends with a whole number of "
        "these (default: an epoch's)",
        at_least=1,
        metavar="STEPS",
        group="training",
    )
    track_target: bool = setting(
        "score the target after each epoch too, to see what an oracle would "
        "have selected; it has no part in any choice",
        False,
        group="training",
    )
    precision: str = setting(
        "dtype of the computation; masks, losses and weights stay float32. "
        "auto takes mixed_bfloat16 where the devices compute with it by "
        "themselves and it agrees, else float32; a run goes on in what it has",
        "float32",
        names=lambda: ("auto", "float32", "mixed_bfloat16", "mixed_float16"),
        group="machine",
    )
    jit: bool = setting("compile the step with XLA", False, group="machine")
    strategy: str = setting(
        "devices to train on: one, mirrored (all GPUs of this machine), "
        "multi_worker (the machines in TF_CONFIG, see docs/scaling.md); auto "
        "takes what there is. A batch is shared out among them",
        "auto",
        names=lambda: ("auto", "one", "mirrored", "multi_worker"),
        group="machine",
    )
    seed: int = setting(
        "seed of split, order, augmentation, weights, masks",
        0,
        at_least=0,
        at_most=2**31 - 1,
        group="run",
    )
    output: str | None = setting(
        "run folder (default: runs/<dataset>-<target>-<method>-<backbone>-"
        "seed<seed>)",
        metavar="DIR",
        group="run",
    )
    options: Any = None

    def __post_init__(self):
        if self.method in METHODS.names():  # else `check` says so
            options = METHODS[self.method].make_options(
                self.options, self.method
            )
            object.__setattr__(self, "options", options)

    def replace(self, **changes) -> "RunConfig":
        """Returns the config with some settings changed.

        Another method comes with its own options, at their defaults.

        Args:
            **changes: Settings by name, the method's own among them.

        Raises:
            UserError: If a name is unknown.
        """
        method = METHODS.check(changes.get("method", self.method))
        general = {name: getattr(self, name) for name in GENERAL}
        options = {}
        if method == self.method:
            options = dataclasses.asdict(self.options)
        for name, value in changes.items():
            (general if name in GENERAL else options)[name] = value
        return RunConfig(**general, options=options)

    def resolve(
        self,
        dataset: str,
        count: Callable[["RunConfig"], int] | None = None,
    ) -> "RunConfig":
        """Fills in what method and dataset say, the output folder, and checks.

        Args:
            dataset: Name in `DATASETS` that "auto" turned out to be.
            count: Tells how many images there are, where a setting depends on
                it; by default `count_images`, which lists them.

        Returns:
            A config without open choices, except options of the method whose
            None has a meaning of its own.

        Raises:
            UserError: If a value is out of range or a name is unknown.
        """
        METHODS.check(self.method)
        method = METHODS[self.method]
        filled = {"dataset": dataset}
        if self.target is not None:
            filled["target"] = nfc(self.target)
        if self.sources is not None:
            filled["sources"] = tuple(map(nfc, self.sources))
        if self.weights == "auto":
            filled["weights"] = DATASETS[dataset].weights
        preset = {**DEFAULTS, **DATASETS[dataset].presets}
        given = dataclasses.replace(self, **filled)
        if given.weights == "none" or self.data is None:
            preset["recipe"] = recipes.PAPER  # others start from weights
        preset = recipes.with_recipe(
            self.recipe or preset["recipe"],
            preset,
            method.defaults,
            lambda: (count or RunConfig.count_images)(given),
            given._why_not_frozen(method) is None,
        )
        asked = {}
        for (name, word), parts in PARTS.items():
            if (getattr(self, name) or preset.get(name)) == word:
                asked |= parts
        unasked = set().union(*PARTS.values()) - asked.keys()
        preset = {**asked, **preset}
        preset = {k: v for k, v in preset.items() if k not in unasked}
        if method.batches is Batches.BY_DOMAIN:
            preset["sampling"] = "balanced"
        for name, value in preset.items():
            if getattr(self, name) is None:
                filled[name] = value
        if self.output is None:
            filled["output"] = str(
                pathlib.Path("runs")
                / f"{dataset}-{name_part(str(self.target))}-{self.method}"
                f"-{file_part(self.backbone)}-seed{self.seed}"
            )
        config = dataclasses.replace(self, **filled)
        config.check()
        return config

    def count_images(self) -> int:
        """Returns how many images there are, the target's too.

        The dataset must be resolved. Where images can't be listed it is none:
        a run says why when it starts.
        """
        try:
            data = self.list_images()
        except UserError:
            return 0
        splits = data.train, data.validation, data.out_of_domain
        return sum(map(len, splits))

    def of_recipe(self) -> dict[str, Any]:
        """Returns {name: value} of what recipes change, as this one has it."""
        names = set(recipes.changed_by_recipes())
        for (name, _), parts in PARTS.items():
            names.update(parts if name in names else ())
        plain = dataclasses.replace(self, **dict.fromkeys(names))
        images = recipes.images_of(self.train, self.epochs)
        plain = plain.resolve(self.dataset, lambda _: images)
        return {name: getattr(plain, name) for name in sorted(names)}

    def check(self) -> None:
        """Checks names and ranges of everything that is not None.

        Raises:
            UserError: With the flag, what it was and what it could be.
        """
        settings.check(self)
        settings.check(self.options)
        method = METHODS[self.method]
        # Not resolved, it may turn out to be fitted.
        starts = self.classifier_init in (None, "fitted")
        least_epochs = 0 if starts else method.least_epochs
        if self.epochs is not None and self.epochs < least_epochs:
            raise UserError(
                f"--epochs must be at least {least_epochs}, got {self.epochs}"
            )
        if method.batches is Batches.BY_DOMAIN and self.sampling == "pooled":
            raise UserError(
                f"{self.method} learns from equal shares of the domains in "
                "every batch; leave --sampling pooled out"
            )
        if self.average == "swad" and self.epochs == 0:
            raise UserError(
                "--average swad needs steps to average: --epochs must be at "
                "least 1, got 0"
            )
        if self.freeze_batch_norm and self.weights == "none":
            raise UserError(
                "--freeze-batch-norm keeps the statistics that weights come "
                "with: give --weights imagenet or a file, got --weights none"
            )
        if self.recipe == recipes.BY_SIZE and self.weights == "none":
            raise UserError(
                f"--recipe {self.recipe} starts from weights: give --weights "
                f"imagenet or a file, or --recipe {recipes.PAPER}; got "
                "--weights none"
            )
        if self.classifier_init == "fitted" and self.weights == "none":
            raise UserError(
                "--classifier-init fitted takes what weights make of images: "
                "give --weights imagenet or a file, got --weights none"
            )
        reason = self._why_not_frozen(method)
        if reason and self.train not in (None, "all"):
            raise UserError(reason)
        if self.track_target and self.target == NO_TARGET:
            raise UserError(
                f"--track-target scores the target, and --target {NO_TARGET} "
                "holds out none; leave one of them out"
            )
        self._check_parts()
        if self.data_service is not None and self.cache == "memory":
            raise UserError(
                "--cache memory keeps images in this process, where the "
                "workers of --data-service can't see them; use --cache disk "
                "in a folder that all of them share, or --cache none"
            )

    def _why_not_frozen(self, method) -> str | None:
        """Returns why no part of the network can be computed once, if so."""
        flags = f"--train {self.train}"
        if self.weights == "none":
            return (
                f"{flags} keeps the rest of the network as its weights' file "
                "has it: give --weights imagenet or a file, got --weights none"
            )
        if not method.on_features:
            able = [n for n in METHODS.names() if METHODS[n].on_features]
            return (
                f"--method {self.method} changes images or early layers as it "
                f"learns, and {flags} computes them once; it goes with "
                f"{', '.join(able)}"
            )
        if self.mix == "cutmix":
            return (
                "--mix cutmix puts boxes of images into images, and "
                f"{flags} learns from what was computed of them; use --mix "
                "mixup, or --train all"
            )
        if self.data_service is not None:
            return (
                f"{flags} prepares images once, in this process; leave "
                "--data-service out"
            )
        return None

    def _check_parts(self) -> None:
        """Raises UserError for a setting of what is not chosen."""
        for part in dict.fromkeys(p for parts in PARTS.values() for p in parts):
            wholes = [whole for whole, parts in PARTS.items() if part in parts]
            if getattr(self, part) is not None and not any(
                getattr(self, name) == word for name, word in wholes
            ):
                name = wholes[0][0]
                raise UserError(
                    f"{flag_of(part)} is for {flag_of(name)} "
                    f"{' or '.join(word for _, word in wholes)}, got "
                    f"{flag_of(name)} {getattr(self, name)}"
                )

    @property
    def held_out(self) -> str | None:
        """The domain that training never sees; None where it sees all."""
        return None if self.target == NO_TARGET else self.target

    def list_images(self) -> "DomainData":
        """Lists the run's images, by domain and split; none is opened.

        The config must be resolved.

        Raises:
            UserError: If the data is not there or not as it should be.
        """
        spec = DATASETS[self.dataset]
        where = self.data, self.held_out, self.sources, self.seed
        if self.split == "domainbed":
            from dmg_tf.data.datasets import domainbed

            return domainbed.load(spec, *where)
        return spec.load(*where)

    @property
    def uses_length(self) -> bool:
        """Whether a step depends on the length of the run."""
        return METHODS[self.method].uses_length or self.schedule == "cosine"

    @property
    def by_domain(self) -> bool:
        """Whether every batch must have equally many images of each source."""
        return METHODS[self.method].batches is Batches.BY_DOMAIN

    def to_json(self) -> dict[str, Any]:
        """Returns plain values, ready for `json.dump`: the method's own too."""
        general = {name: getattr(self, name) for name in GENERAL}
        return {**general, **dataclasses.asdict(self.options)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunConfig":
        """Reads what `to_json` wrote, in this version or an earlier one.

        Raises:
            UserError: If a name is neither a setting of all methods nor an
                option of this one.
        """
        method = values.get("method", cls.method)
        METHODS.check(method)
        own = names_of(METHODS[method].options)
        general, options = {}, {}
        for name, value in values.items():
            if name in GENERAL:
                general[name] = value
            elif name in own:
                options[name] = value
            elif name in _recorded_by_all():
                continue
            elif owners_of(name):
                raise no_option(name, method, METHODS[method].options)
            else:
                raise unknown_name("setting", name, (*GENERAL, *own))
        return settings.from_plain(cls, {**general, "options": options})

    @classmethod
    def from_run(cls, values: Mapping[str, Any]) -> "RunConfig":
        """Reads what a run wrote down, without open choices.

        What there was no setting for at its time was as `DEFAULTS` has it.

        Raises:
            UserError: As `from_json`.
        """
        return cls.from_json({**DEFAULTS, **values})

    @classmethod
    def read(cls, run_dir: str | pathlib.Path) -> "RunConfig":
        """Reads `config.json` of a run folder.

        Raises:
            DamagedFile: If its config is not what a run wrote.
            UserError: If the folder holds no readable config.
        """
        path = pathlib.Path(run_dir) / "config.json"
        try:
            config = cls.from_run(read_json(path))
            config.check()
        except OSError as error:
            raise UserError(
                f"{run_dir} is not a run folder: cannot read {path} ({error})"
            ) from error
        except (AttributeError, TypeError, ValueError) as error:
            raise DamagedFile(f"{path} is damaged: {error}") from error
        return config


# The settings that every method has.
GENERAL = names_of(RunConfig)


def _recorded_by_all() -> frozenset[str]:
    """Returns options that version 0.1 wrote down for every method."""
    return frozenset(
        name
        for method in METHODS.names()
        for name in METHODS[method].recorded_by_all
    )
