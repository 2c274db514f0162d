"""The command line of a run: a flag for every setting, and `--config FILE`."""

import argparse
import json
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dmg_tf import settings
from dmg_tf.config import DEFAULTS, GENERAL, PARTS, RunConfig
from dmg_tf.config.recipes import BY_SIZE, changed_by_size
from dmg_tf.data.names import NO_TARGET
from dmg_tf.errors import UserError, unknown_name
from dmg_tf.methods.spec import owners_of
from dmg_tf.registry import DATASETS, METHODS
from dmg_tf.settings import flag_of, names_of

# The headings of `--help`, in order.
GROUPS = {
    "data": "data",
    "model": "model",
    "images": "images",
    "training": "training",
    "machine": "machine",
    "run": "the run and its folder",
}


def method_of(argv: Sequence[str]) -> str:
    """Returns the method that a command line names, before it is parsed.

    What is no method's name is left for `RunConfig.check`; the default stands
    in for it.

    Raises:
        UserError: If it names a `--config` that can't be read.
    """
    found = _first_words(argv).method or config_file_of(argv).get("method")
    return found if found in METHODS.names() else RunConfig.method


def config_file_of(argv: Sequence[str]) -> dict[str, Any]:
    """Returns the settings in the `--config FILE` of a command line.

    Raises:
        UserError: If it can't be read.
    """
    path = _first_words(argv).config
    return read_config_file(path) if path else {}


def read_config_file(path: str) -> dict[str, Any]:
    """Reads settings from JSON, as a run folder has them, or YAML.

    Raises:
        UserError: If it is missing, or holds something else.
    """
    try:
        text = pathlib.Path(path).read_text("utf-8")
        values = json.loads(text) if path.endswith(".json") else _yaml(text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"cannot read --config {path}: {' '.join(str(reason).split())}; "
            "expected the config.json of a run, or YAML such as `epochs: 5`"
        ) from error
    if not isinstance(values, Mapping):
        raise UserError(
            f"--config {path} holds no settings; expected names and values "
            "such as `epochs: 5`"
        )
    return dict(values)


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _first_words(argv: Sequence[str]) -> argparse.Namespace:
    """Returns what decides which flags there are: --method and --config."""
    parser = argparse.ArgumentParser(
        add_help=False, exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument("--method")
    parser.add_argument("--config")
    try:
        return parser.parse_known_args(list(argv))[0]
    except argparse.ArgumentError:  # a flag without a word behind it
        return argparse.Namespace(method=None, config=None)


def add_config_file(
    parser: argparse.ArgumentParser,
    argv: Sequence[str],
    leave_out: Collection[str] = (),
) -> None:
    """Adds `--config FILE`, whose settings stand in for flags not given.

    Args:
        parser: Has the flags of `add_config_flags`.
        argv: The command line.
        leave_out: Names of settings that are not taken from the file.

    Raises:
        UserError: If the file can't be read, or names no setting.
    """
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="take settings from the config.json of a run, or from YAML; "
        "flags win over it",
    )
    given = config_file_of(argv)
    config = RunConfig.from_json({**given, "method": method_of(argv)})
    config.check()
    known = config.to_json()
    parser.set_defaults(
        **{
            name: known[name]
            for name in given
            if name in known and name not in leave_out
        }
    )


def add_config_flags(
    parser: argparse.ArgumentParser,
    method: str | None = None,
    leave_out: Collection[str] = (),
) -> None:
    """Adds a flag for every setting, in groups, and for a method's own.

    Args:
        parser: Where to add them.
        method: Whose options to add; those of other methods are refused by
            name. None adds no method's.
        leave_out: Names of settings that get no flag.
    """
    groups = {
        name: parser.add_argument_group(title) for name, title in GROUPS.items()
    }
    settings.add_flags(parser, RunConfig, leave_out, _default_texts(), groups)
    if method is None:
        return
    options = METHODS[method].options
    if names_of(options):
        settings.add_flags(
            parser.add_argument_group(f"options of {method}"), options
        )
    add_refusals(parser, [method])


def add_refusals(
    parser: argparse.ArgumentParser, methods: Sequence[str]
) -> None:
    """Makes a parser refuse options that none of some methods has, by name.

    Args:
        parser: Has the methods' own options.
        methods: Names in `METHODS`.
    """
    mine = {
        option
        for method in methods
        for option in names_of(METHODS[method].options)
    }
    others = {
        option: owners_of(option)
        for method in METHODS.names()
        for option in names_of(METHODS[method].options)
        if option not in mine
    }
    for option, owners in others.items():
        parser.add_argument(
            flag_of(option),
            action=settings.OfAnother,
            owners=owners,
            here=" or ".join(methods),
            default=argparse.SUPPRESS,
        )


def _default_texts() -> dict[str, str]:
    """Returns {setting: what it is unless given}, where that depends."""
    texts = dict(DEFAULTS)
    by_word: dict[str, dict[str, Any]] = {}
    for (_, word), parts in PARTS.items():
        for name, value in parts.items():
            by_word.setdefault(name, {})[word] = value
    for name, values in by_word.items():
        texts[name], *others = dict.fromkeys(values.values())
        if others:
            texts[name] = "; ".join(f"{w} {v}" for w, v in values.items())
    for name in names_of(RunConfig):
        by_value: dict[Any, list[str]] = {}
        for dataset in DATASETS.names():
            presets = {**DEFAULTS, **DATASETS[dataset].presets}
            if name in presets:
                by_value.setdefault(presets[name], []).append(dataset)
        if by_value:
            usual = max(by_value, key=lambda value: len(by_value[value]))
            others = [
                f"{', '.join(datasets)} {value}"
                for value, datasets in by_value.items()
                if value != usual
            ]
            texts[name] = "; ".join([str(usual), *others])
    for name in changed_by_size():
        texts[name] = f"{texts.get(name, 'none')}; {BY_SIZE} its own"
    return texts


def args_from_config(config: RunConfig) -> list[str]:
    """Returns the flags of `dmg-tf train` that stand for a config.

    What has its default is left out, so the list is what one would type.
    """
    return [
        *settings.flags_of(config),
        *settings.flags_of(config.options),
    ]


def config_from_args(args: argparse.Namespace) -> RunConfig:
    """Makes the config from parsed flags; names and ranges are checked.

    Raises:
        UserError: If a name is unknown or a number out of range.
    """
    method = args.method
    if method not in METHODS.names():
        raise unknown_name("--method", method, METHODS.names())
    values = {name: getattr(args, name) for name in GENERAL}
    for name in names_of(METHODS[method].options):
        values[name] = getattr(args, name)
    config = RunConfig.from_json(values)
    config.check()
    return config


def check_domains(config: RunConfig) -> None:
    """Checks the domains by their names; opens no list and no image.

    Raises:
        UserError: If the target is missing, the data can't be found, or has no
            such domains.
    """
    # NumPy, which comes along, would slow the answer to a mistyped flag.
    from dmg_tf.data import detect_dataset, why_dataset
    from dmg_tf.data.domains import (
        as_known,
        check_no_splits,
        domain_names,
        pick_domains,
    )

    known = domain_names(config.dataset, config.data)
    where = config.data or "the built-in data"
    if config.sources is None:
        check_no_splits(known, where)
    asked = [
        name for name in (config.held_out, *(config.sources or ())) if name
    ]
    if config.dataset == "auto" and any(
        as_known(name, known) not in known for name in asked
    ):
        why = why_dataset(detect_dataset("auto", config.data), config.data)
        where += f" ({why})" * bool(why)
    if config.target is None:
        raise UserError(
            "--target is the domain to hold out; "
            f"{where} has {', '.join(known)}; --target {NO_TARGET} learns from "
            "all of them"
        )
    picked = pick_domains(known, config.held_out, config.sources, where)
    METHODS[config.method].check_sources(config.method, picked)
