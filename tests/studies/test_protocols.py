"""The protocols of this project: their runs, commands and cost."""

import functools
import re
import shlex

import pytest

from dmg_tf.commands import train
from dmg_tf.config import RunConfig
from dmg_tf.errors import UserError
from dmg_tf.flags import config_from_args
from dmg_tf.registry import BACKBONES
from dmg_tf.studies.cost import cost_of, missing_text, plan_text, rates_of
from dmg_tf.studies.paper.published import PUBLISHED_DOMAINS
from dmg_tf.studies.protocols import chosen, read_protocols
from tests.conftest import ROOT
from tests.studies.evidence.runs import PROTOCOL

FILES = ("docs/evidence/protocols.yaml", "tuning/reproduce.yaml")
KNOWN = {
    (file, name): protocol
    for file in FILES
    for name, protocol in read_protocols(ROOT / file).items()
}


@pytest.fixture(scope="module", params=KNOWN, ids=lambda place: place[1])
def protocol(request):
    return KNOWN[request.param]


@pytest.fixture
def runs(protocol):
    return planned(protocol.name)


@functools.cache
def planned(name):
    """The runs of a protocol where there are no images."""
    file = next(file for file, known in KNOWN if known == name)
    return KNOWN[file, name].plan(None, ROOT / "none")


def test_every_run_is_there_once(protocol, runs):
    places = [(r.variant, r.config.target, r.config.seed) for r in runs]
    backbones = len({run.config.backbone for run in runs})
    if backbones == 1:
        assert len(set(places)) == len(places)
    assert set(places) == set(protocol.expected)
    assert len({run.name for run in runs}) == len(runs)
    assert not any(run.finished for run in runs)


def test_every_listed_command_is_the_run(protocol, runs):
    """The plan has a line a run, which `dmg-tf train` takes for that run."""
    text = plan_text(protocol, runs, {})
    lines = re.findall(r"^ *[\d.]+ h  dmg-tf train (.+)$", text, re.MULTILINE)
    # Parsers are slow to make: of each variant one line is parsed.
    checked = {(run.variant, run.config.backbone): run for run in runs}
    of_output = {
        word.partition("=")[2]: shlex.split(line)
        for line in lines
        for word in shlex.split(line)
        if word.startswith("--output=")
    }
    assert len(of_output) == len(lines) == len(runs)
    for run in checked.values():
        argv = of_output[run.config.output]
        config = config_from_args(train.make_parser(argv).parse_args(argv))
        assert config == run.config
        config.resolve(protocol.dataset)


def test_what_is_compared_and_named_is_run(protocol):
    variants = {variant for variant, _, _ in protocol.expected}
    if not protocol.labels:
        return
    assert variants <= set(protocol.labels)
    others = set(protocol.labels) - variants
    assert all(name.startswith("official ") for name in others)
    assert {each for pair in protocol.compare for each in pair} <= set(
        protocol.labels
    )


def test_a_plan_costs_what_arithmetic_says():
    run = PROTOCOL.plan(None, ROOT / "none")[1]
    assert run.variant == "dmg" and run.config.target == "a"
    found = cost_of(run, PROTOCOL, {})
    # b and c have 90 images each, in 50 epochs; a step counts twice.
    assert found.images == 180 * 50
    assert found.seconds == 180 * 50 * 2 / 10 + 5
    assert cost_of(run, PROTOCOL, {"resnet18": 20.0}).seconds == 905
    text = plan_text(PROTOCOL, [run, run], {}, devices=2, price=4)
    assert "2 runs, 18,000 images, 1.0 device hours, at least 0.5 hours" in text
    assert "on 2 devices, 4 at 4 an hour." in text


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    pacs = KNOWN["tuning/reproduce.yaml", "pacs"]
    runs = planned("pacs")
    missing = missing_text(pacs, runs, str(tmp_path / "pacs"), gpus=())
    assert len(missing) == 5  # images, three backbones' weights, a GPU
    assert missing[0].startswith("the images of PACS at ")
    assert "dmg-tf data get pacs --to " in missing[0]
    models = tmp_path / "models"
    models.mkdir()
    name = BACKBONES["alexnet"].imagenet.url.rpartition("/")[2]
    (models / name).touch()
    missing = missing_text(pacs, runs, str(tmp_path), gpus=("0",))
    assert [re.search(r"resnet\d+", line)[0] for line in missing] == [
        "resnet18",
        "resnet50",
    ]


def test_the_paper_s_tables_are_whole():
    """Of each row of Tables 1 and 6 there is a run, and the other way round."""
    names = {"pacs": (14 + 10 + 4) * 4 * 3, "domainnet": 5 * 3 * 6}
    for name, count in names.items():
        protocol = KNOWN["tuning/reproduce.yaml", name]
        assert len(planned(name)) == count
        assert tuple(protocol.images) == PUBLISHED_DOMAINS[name]


def test_settings_of_the_comparisons_differ_in_what_they_say():
    """Aggregate and its dropout control differ in the dropout alone."""
    for name in ("frozen", "full", "shapes"):
        protocol = KNOWN["docs/evidence/protocols.yaml", name]
        runs = {
            run.variant: run.config.resolve(protocol.dataset)
            for run in planned(name)
            if (run.config.target, run.config.seed) == ("sketch", 0)
        }
        plain, dropping = runs["aggregate"], runs["aggregate:site-dropout=0.38"]
        assert dropping.options.site_dropout == 0.38
        assert plain == dropping.replace(site_dropout=0.0, output=plain.output)
        masked = runs["dmg:domain-classifier"]
        same = masked.replace(method="aggregate", output=plain.output)
        assert same == plain
        assert masked.options.siou_weight == 0.1


@pytest.mark.parametrize(
    "text,match",
    [
        ("protocols: {a: {}}", "cannot read the protocols"),
        ("- 1", "cannot read the protocols"),
        ("{", "cannot read the protocols"),
        (
            "{images: {x: {}}, protocols: {a: {dataset: x, colour: red}}}",
            "colour",
        ),
    ],
)
def test_a_file_that_holds_something_else(tmp_path, text, match):
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(UserError, match=match):
        read_protocols(tmp_path / "some.yaml")


def test_names_and_speeds_are_checked():
    with pytest.raises(UserError, match="Did you mean 'small'"):
        chosen({"small": PROTOCOL}, ["smal"])
    assert rates_of(["resnet18=900"]) == {"resnet18": 900.0}
    for word in ("resnet18", "resnet18=fast", "resnet19=3"):
        with pytest.raises(UserError):
            rates_of([word])
    run = PROTOCOL.plan(None, ROOT / "none", ["--backbones", "alexnet"])[0]
    assert isinstance(run.config, RunConfig)
    with pytest.raises(UserError, match="give --images-per-second alexnet="):
        cost_of(run, PROTOCOL, {})
