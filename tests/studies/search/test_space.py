"""What a search goes over: defaults, ranges, and values that can't be."""

import dataclasses
import math

import pytest

from dmg_tf.commands.search import make_parser
from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.flags import config_from_args
from dmg_tf.registry import METHODS
from dmg_tf.settings import LogRange
from dmg_tf.studies.search.flags import check_length
from dmg_tf.studies.search.space import (
    axes_of,
    count_of,
    space_from_args,
    with_values,
)


def space_of(*flags, method="dmg"):
    argv = ["--target", "a", "--method", method, *flags]
    args = make_parser(argv).parse_args(argv)
    return space_from_args(args, config_from_args(args))


def test_the_paper_s_sweep_is_the_default():
    assert space_of() == {"siou_weight": (0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1)}


def test_other_lists_take_its_place():
    space = space_of("--learning-rates", "1e-3", "1e-4", "1e-3")
    assert space == {"learning_rate": (1e-3, 1e-4)}
    space = space_of(
        *("--siou-weights", "0", "1", "--batch-sizes", "16", "32"),
        *("--mask-sites-choices", "fc", "layer4,fc"),
    )
    assert space == {
        "siou_weight": (0.0, 1.0),
        "mask_sites": ("fc", "layer4,fc"),
        "batch_size": (16, 32),
    }
    assert count_of(space) == 8


def test_ranges_are_for_drawing():
    space = space_of("--tuner", "random", "--siou-weights", "1e-5..1")
    assert space == {"siou_weight": LogRange(1e-5, 1.0)}
    assert count_of(space) == math.inf


def test_values_take_their_places():
    config = with_values(
        RunConfig(target="a"),
        {"mask_sites": "layer4,fc", "siou_weight": 0.5, "batch_size": 8},
    )
    options = config.options
    assert options.mask_sites == ("layer4", "fc") and options.siou_weight == 0.5
    assert config.batch_size == 8


def test_axes_keep_their_flags_and_order():
    """A seed draws values in this order."""
    assert [axis.flag for axis in axes_of("dmg").values()] == [
        *("--siou-weights", "--sparsity-weights", "--label-smoothings"),
        *("--learning-rates", "--mask-learning-rates", "--sharpness-radii"),
        *("--weight-decays", "--mask-sites-choices", "--batch-sizes"),
    ]
    flags = [axis.flag for axis in axes_of("metareg").values()]
    assert "--meta-learning-rates" in flags and "--siou-weights" not in flags


def test_a_method_without_values_of_its_own():
    with pytest.raises(UserError, match="give some by --label-smoothings, "):
        space_of(method="aggregate")
    space = space_of("--learning-rates", "1e-3", method="aggregate")
    assert space == {"learning_rate": (1e-3,)}


def test_hyperband_prolongs_no_run_whose_steps_depend_on_its_length(
    monkeypatch,
):
    config = RunConfig(target="a")
    check_length("hyperband", config)
    cosine = config.replace(schedule="cosine")
    with pytest.raises(UserError, match="of dmg with --schedule cosine does"):
        check_length("hyperband", cosine)
    spec = dataclasses.replace(METHODS["dmg"], uses_length=True)
    monkeypatch.setattr("dmg_tf.methods.dmg.spec.SPEC", spec)
    check_length("random", config)
    with pytest.raises(UserError, match="--tuner hyperband prolongs runs"):
        check_length("hyperband", config)


@pytest.mark.parametrize(
    "flags,words",
    [
        (["--siou-weights", "0", "-1"], "--siou-weights must be at least 0"),
        (["--learning-rates", "0"], "--learning-rates must be above 0"),
        (["--batch-sizes", "0"], "--batch-sizes must be at least 1, got 0"),
        (["--siou-weights", "1e-5..1"], "a grid needs single values"),
        (
            ["--sharpness-radii", "0.01", "0.1"],
            "--sharpness-radii is for --sharpness sam or sagm",
        ),
        (
            ["--tuner", "random", "--siou-weights", "1e-5..1", "3"],
            "one range or a list",
        ),
        (
            ["--siou-weight", "0.5"],
            "--siou-weight 0.5 fixes what the search goes over",
        ),
        (
            ["--mask-sites", "layer4", "--mask-sites-choices", "fc"],
            "--mask-sites layer4 fixes",
        ),
    ],
)
def test_values_that_cannot_be(flags, words):
    with pytest.raises(UserError, match=words):
        space_of(*flags)


@pytest.mark.parametrize(
    "flags,words",
    [
        (["--siou-weights", "much"], "'much' is not a number"),
        (["--siou-weights", "nan"], "'nan' is not a number"),
        (["--siou-weights", "1..0.1"], "must rise from above 0"),
        (["--siou-weights", "0..1"], "must rise from above 0"),
        (["--batch-sizes", "1.5"], "'1.5' is not a number"),
        (["--mask-sites-choices", "fc,"], "is no list of layers"),
        (["--executions-per-trial", "0"], "a whole number above 0"),
        (["--worker-timeout", "0"], "a number of seconds"),
        (["--tuner", "best"], "invalid choice"),
        (
            ["--meta-learning-rates", "1"],
            "--meta-learning-rates is an option of metareg, not of dmg",
        ),
    ],
)
def test_words_that_cannot_be(capsys, flags, words):
    with pytest.raises(SystemExit) as ended:
        space_of(*flags)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert printed.startswith("error: ") and words in printed
    assert printed.count("\n") == 1
