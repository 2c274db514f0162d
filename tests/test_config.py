import dataclasses
import json

import pytest

from dmg_tf.config import GENERAL, PARTS, RunConfig
from dmg_tf.config.recipes import BY_SIZE, PAPER, RECIPES
from dmg_tf.console.parser import OneLineParser
from dmg_tf.errors import UserError
from dmg_tf.flags import (
    add_config_file,
    add_config_flags,
    args_from_config,
    config_from_args,
    method_of,
)
from dmg_tf.registry import DATASETS, METHODS
from dmg_tf.settings import names_of


def parsed(*argv):
    parser = OneLineParser()
    add_config_flags(parser, method_of(argv))
    return config_from_args(parser.parse_args(argv))


def test_presets_are_the_papers():
    config = parsed("--target", "sketch").resolve("pacs")
    assert (config.epochs, config.batch_size, config.image_size) == (
        50,
        64,
        224,
    )
    assert config.optimizer == "adam" and config.learning_rate == 1e-4
    assert config.schedule == "exponential" and config.weight_decay == 1e-5
    assert config.options.siou_weight == 0.1 and config.weights == "imagenet"
    assert config.options.mask_learning_rate is None  # the network's
    config = parsed("--target", "sketch").resolve("domainnet")
    assert config.schedule == "inverse" and config.weight_decay == 0
    assert config.classifier_init == "normal"


def test_flags_win_over_presets():
    config = parsed(
        *("--target", "a", "--sources", "b", "c", "--epochs", "3"),
        *("--weight-decay", "0", "--jit", "--mask-sites", "fc"),
        *("--siou-weight", "1e-3", "--output", "here"),
    ).resolve("shapes")
    assert config.sources == ("b", "c") and config.epochs == 3
    assert config.weight_decay == 0 and config.jit and config.output == "here"
    assert config.options.mask_sites == ("fc",)
    assert config.options.siou_weight == 1e-3
    assert config.weights == "none"


def test_a_recipe_stands_for_flags_that_are_not_given():
    paper = parsed("--target", "a").resolve("folder")
    assert paper == parsed("--target", "a", "--recipe", "paper").resolve(
        "folder"
    )
    assert (paper.average, paper.augment, paper.sharpness) == (
        *("none", "paper", "none"),
    )
    strong = parsed("--target", "a", "--recipe", "strong").resolve("folder")
    assert (strong.schedule, strong.warmup) == ("cosine", 0.5)
    assert (paper.schedule, paper.warmup) == ("exponential", None)
    assert (
        strong.learning_rate == 3e-4 == pytest.approx(3 * paper.learning_rate)
    )
    one = parsed(
        *("--target", "a", "--recipe", "strong", "--schedule", "constant"),
        *("--learning-rate", "0.01", "--average", "ema"),
    ).resolve("folder")
    assert one.schedule == "constant" and one.warmup == strong.warmup
    assert one.learning_rate == 0.01
    assert one.ema_decay == PARTS["average", "ema"]["ema_decay"]
    # What a run wrote down says all, with the recipe and without.
    assert RunConfig.from_run(one.to_json()).resolve("folder") == one


def test_each_way_to_mix_has_its_own_shares():
    def mixed(*flags):
        return parsed("--target", "a", *flags).resolve("folder").mix_alpha

    assert mixed() is None
    assert mixed("--mix", "mixup") == 0.2
    assert mixed("--mix", "cutmix") == 1
    assert mixed("--mix", "cutmix", "--mix-alpha", "0.5") == 0.5
    with pytest.raises(UserError, match="is for --mix mixup or cutmix, got"):
        mixed("--mix-alpha", "0.5")
    parser = OneLineParser()
    add_config_flags(parser)
    said = " ".join(parser.format_help().split())
    assert "(default: mixup 0.2; cutmix 1.0)" in said


def test_a_run_of_before_a_setting_had_its_default():
    config = parsed("--target", "a").resolve("folder")
    written = config.to_json()
    for name in ("recipe", "average", "augment", "sharpness", "mix"):
        del written[name]
    assert RunConfig.from_run(written) == config


def test_json_round_trip():
    config = parsed("--target", "a", "--sources", "b", "c").resolve("folder")
    again = RunConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert config.output == "runs/folder-a-dmg-resnet18-seed0"


@pytest.mark.parametrize(
    "flags,match",
    [
        (["--backbone", "resnet81"], "'resnet81'.*Did you mean 'resnet18'"),
        (
            ["--method", "dgm"],
            "unknown --method 'dgm'; known: .*Did you mean 'dmg'",
        ),
        (["--dataset", "pac"], "Did you mean 'pacs'"),
        (["--optimizer", "lion"], "known: adam, adamw, sgd"),
        (["--schedule", "linear"], "unknown --schedule 'linear'"),
        (["--precision", "float64"], "unknown --precision"),
        (["--batch-size", "-4"], "--batch-size must be at least 1"),
        (["--image-size", "31"], "--image-size must be at least 32, got 31"),
        (["--learning-rate", "0"], "--learning-rate must be above 0"),
        (["--learning-rate", "nan"], "--learning-rate must be above 0"),
        (["--mask-learning-rate", "-1"], "--mask-learning-rate must be above"),
        (["--siou-weight", "-0.1"], "--siou-weight must be at least 0"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--seed", "4294967296"], "at most"),
    ],
)
def test_errors(flags, match):
    with pytest.raises(UserError, match=match):
        parsed("--target", "a", *flags)


@pytest.mark.parametrize(
    "flags,words",
    [
        (["--target", "a", "--epochs", "many"], "invalid int value: 'many'"),
        (["--target", "a", "--lambda", "1"], "unrecognized arguments"),
        (
            ["--target", "a", "--meta-steps", "7"],
            "--meta-steps is an option of metareg, not of dmg",
        ),
    ],
)
def test_parser_errors_are_one_line(flags, words, capsys):
    with pytest.raises(SystemExit) as caught:
        parser = OneLineParser()
        add_config_flags(parser, "dmg")
        parser.parse_args(flags)
    assert caught.value.code == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and printed.count("\n") == 1
    assert words in printed


@pytest.mark.parametrize(
    "flags",
    [
        ["--target=a"],
        ["--target=-a", "--sources", "b", "c", "--jit"],
        ["--target=a", "--siou-weight=0.0", "--learning-rate=3e-05"],
        ["--target=a", "--mask-sites", "layer4", "--seed=7", "--data=x y"],
    ],
)
def test_flags_of_a_config_give_the_config(flags):
    config = parsed(*flags)
    again = args_from_config(config)
    assert sorted(again) == sorted(flags)
    assert parsed(*again) == config


def test_flags_can_be_left_out():
    parser = OneLineParser()
    add_config_flags(parser, leave_out=("target", "seed"))
    assert not hasattr(parser.parse_args([]), "seed")


def test_unknown_setting_in_json():
    with pytest.raises(UserError, match="'lamda'"):
        RunConfig.from_json({"target": "a", "lamda": 1})


def test_reading_a_run_folder(tmp_path):
    with pytest.raises(UserError, match="is not a run folder"):
        RunConfig.read(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="config.json is damaged: Expecting"):
        RunConfig.read(tmp_path)


def test_a_method_has_its_own_flags():
    config = parsed("--target", "a", "--method", "metareg", "--meta-steps", "7")
    assert config.options.meta_steps == 7
    assert "--meta-steps=7" in args_from_config(config)
    assert not hasattr(config.options, "siou_weight")


@pytest.mark.parametrize(
    "argv,method",
    [
        ([], "dmg"),
        (["--method", "metareg"], "metareg"),
        (["--method=aggregate", "--epochs", "x"], "aggregate"),
        (["--method"], "dmg"),
        (["--method", "dgm"], "dmg"),
    ],
)
def test_the_method_is_read_first(argv, method):
    assert method_of(argv) == method


def test_another_method_brings_its_own_options():
    config = RunConfig(target="a", options={"siou_weight": 3.0})
    other = config.replace(method="metareg", meta_steps=2, seed=4)
    assert other.options.meta_steps == 2 and other.seed == 4
    assert other.replace(method="dmg").options.siou_weight == 0.1
    assert config.replace(siou_weight=1.0).options.siou_weight == 1.0
    with pytest.raises(UserError, match="is an option of dmg, not of metareg"):
        other.replace(siou_weight=1.0)


def test_options_of_another_method_are_refused_with_their_owner():
    with pytest.raises(UserError, match="is an option of dmg, not of aggreg"):
        RunConfig(target="a", method="aggregate", options={"siou_weight": 1})
    with pytest.raises(UserError, match="Did you mean 'siou_weight'"):
        RunConfig(target="a", options={"siou_weigth": 1})
    with pytest.raises(ValueError, match="must be a dict or Options"):
        RunConfig(target="a", options=3)


def test_a_config_of_version_0_1_is_read():
    """There every method wrote down the options of all."""
    old = {
        "target": "a",
        "method": "aggregate",
        "mask_sites": None,
        "siou_weight": 3,
        "siou_reduction": "mean",
        "sparsity_weight": 0.0,
        "meta_steps": 7,
        "meta_learning_rate": 0.01,
        "mask_learning_rate": None,
    }
    assert "siou_weight" not in RunConfig.from_json(old).to_json()
    config = RunConfig.from_json({**old, "method": "metareg"})
    assert config.options.meta_steps == 7


def test_no_name_is_both_a_setting_of_all_and_an_option():
    for method in METHODS.names():
        assert not set(names_of(METHODS[method].options)) & set(GENERAL)


@pytest.mark.parametrize(
    "values,words",
    [
        ({"epochs": "ten"}, "--epochs must be a whole number, got 'ten'"),
        ({"epochs": True}, "--epochs must be a whole number, got True"),
        ({"epochs": 1.5}, "--epochs must be a whole number, got 1.5"),
        ({"learning_rate": "x"}, "--learning-rate must be a number"),
        ({"sources": "b"}, "--sources must be a list, each a word"),
        ({"sources": [1]}, "--sources must be a list, each a word"),
        ({"jit": "yes"}, "--jit must be true or false"),
        ({"siou_weight": None}, None),
        ({"siou_weight": [1]}, "--siou-weight must be a number"),
    ],
)
def test_values_of_a_wrong_type(values, words):
    config = RunConfig.from_json({"target": "a", **values})
    if words is None:
        config.check()
        return
    with pytest.raises(UserError) as caught:
        config.check()
    assert str(caught.value).startswith(words)


def from_file(path, text, *argv):
    path.write_text(text)
    argv = ["--config", str(path), *argv]
    parser = OneLineParser()
    add_config_flags(parser, method_of(argv))
    add_config_file(parser, argv)
    return config_from_args(parser.parse_args(argv))


def test_settings_from_a_file(tmp_path):
    text = "target: c\nmethod: metareg\nmeta_steps: 7\nepochs: 3\n"
    config = from_file(tmp_path / "mine.yaml", text, "--epochs", "4")
    assert (config.target, config.method, config.epochs) == ("c", "metareg", 4)
    assert config.options.meta_steps == 7
    other = from_file(tmp_path / "mine.yaml", text, "--method", "dmg")
    assert other.method == "dmg" and other.options.siou_weight == 0.1
    ran = RunConfig(target="a", sources=("b", "c"), jit=True)
    ran = ran.resolve("folder")
    text = json.dumps(ran.to_json())
    assert from_file(tmp_path / "config.json", text) == ran


@pytest.mark.parametrize(
    "text,words",
    [
        ("epohcs: 3", "unknown setting 'epohcs'.*Did you mean 'epochs'"),
        ("epochs: [", "cannot read --config .*expected"),
        ("just words", "holds no settings"),
        ("epochs: many", "--epochs must be a whole number, got 'many'"),
        ("epochs: -1", "--epochs must be at least 0, got -1"),
        ("method: aggregate\nmixing: 1", "unknown setting 'mixing'"),
    ],
)
def test_settings_from_a_wrong_file(tmp_path, text, words):
    with pytest.raises(UserError, match=words) as caught:
        from_file(tmp_path / "mine.yaml", text, "--target", "a")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="No such file"):
        from_file(tmp_path / "gone", "", "--config", str(tmp_path / "no.json"))


def test_a_dataset_may_have_no_rate_of_its_own(monkeypatch):
    spec = DATASETS["folder"]
    presets = {k: v for k, v in spec.presets.items() if k != "learning_rate"}
    monkeypatch.setitem(DATASETS._paths, "bare", f"{__name__}:BARE")
    monkeypatch.setitem(
        globals(), "BARE", dataclasses.replace(spec, presets=presets)
    )
    for recipe in RECIPES:
        if recipe == BY_SIZE:
            continue  # counts images, and there are none
        flags = ("--target", "a", "--recipe", recipe)
        assert parsed(*flags).resolve("bare").learning_rate is None
        flags = (*flags, "--learning-rate", "0.01")
        assert parsed(*flags).resolve("bare").learning_rate == 0.01


@pytest.mark.parametrize(
    ("images", "part", "epochs"),
    [
        (10, "task_network", 20),
        (3_000, "task_network", 20),
        (3_001, "all", 20),
        (25_000, "all", 10),
        (90_000, "all", 5),
        (10**6, "all", 3),
    ],
)
def test_a_folder_has_settings_by_its_size(images, part, epochs):
    flags = ("--target", "a", "--data", "somewhere")

    def count(_):
        return images

    config = parsed(*flags).resolve("folder", count)
    assert (config.recipe, config.train, config.epochs) == (
        *(BY_SIZE, part, epochs),
    )
    assert config.classifier_init == "fitted"
    few = part == "task_network"
    assert config.views == (1 if few else None)
    assert config.learning_rate == (3e-4 if few else 1e-4)
    # a method that needs images learns all of the network
    other = parsed(*flags, "--method", "crossgrad").resolve("folder", count)
    most = 20 if images <= 10_000 else epochs
    assert (other.train, other.epochs) == ("all", most)
    # and so do boxes of images in images
    mixed = parsed(*flags, "--mix", "cutmix").resolve("folder", count)
    assert (mixed.train, mixed.epochs) == ("all", most)
    # flags win, and the paper's settings are there
    config = parsed(*flags, "--epochs", "7", "--train", "all")
    config = config.resolve("folder", count)
    assert (config.train, config.epochs, config.views) == ("all", 7, None)
    paper = parsed(*flags, "--recipe", PAPER).resolve("folder")
    assert (paper.train, paper.epochs) == ("all", 50)


def test_a_folders_images_are_counted(tiny_folder, tmp_path):
    flags = ("--target", "a", "--data", str(tiny_folder))
    config = parsed(*flags).resolve("folder")
    assert (config.recipe, config.train) == (BY_SIZE, "task_network")
    # what is told of a run does not need them
    gone = dataclasses.replace(config, data=str(tmp_path / "gone"))
    said = gone.of_recipe()
    assert said["epochs"] == config.epochs and said["train"] == config.train
    # random weights have no features to fit a classifier on
    config = parsed(*flags, "--weights", "none").resolve("folder")
    assert (config.recipe, config.train) == (PAPER, "all")
    with pytest.raises(UserError, match="--recipe by_size starts from weights"):
        parsed(*(*flags, "--weights", "none", "--recipe", BY_SIZE)).resolve(
            "folder"
        )


def test_other_datasets_have_the_papers_settings():
    for name in ("pacs", "domainnet", "shapes"):
        config = parsed("--target", "a", "--data", "x").resolve(name)
        assert (config.recipe, config.train) == (PAPER, "all")


def test_no_epoch_is_for_what_is_fitted(tiny_folder):
    flags = ("--target", "a", "--epochs", "0")
    with pytest.raises(UserError, match="--epochs must be at least 1, got 0"):
        parsed(*flags).resolve("shapes")
    flags = (*flags, "--data", str(tiny_folder), "--weights", "imagenet")
    assert parsed(*flags).resolve("folder").epochs == 0
