"""The Dockerfiles copy what is there, and start what the package has."""

import json
import re

import pytest

from dmg_tf.commands import demo
from tests.conftest import ROOT

FOLDER = ROOT / "docker"


def lines_of(name):
    text = (FOLDER / name).read_text().replace("\\\n", "")
    lines = [li for li in text.splitlines() if li and not li.startswith("#")]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def words_of(name, instruction):
    return [rest for word, rest in lines_of(name) if word == instruction]


def test_the_demo_has_what_it_copies_and_starts():
    copied = [f for c in words_of("demo.Dockerfile", "COPY") for f in c.split()]
    sources = [name for name in copied if not name.startswith("./")]
    allowed = (ROOT / ".dockerignore").read_text()
    for name in dict.fromkeys(sources):
        assert (ROOT / name).exists(), name
        assert f"!{name}\n" in allowed
    # What the build reads beside the package.
    project = (ROOT / "pyproject.toml").read_text()
    for name in re.findall(r'(?:readme|license-files) = \[?"([^"]+)"', project):
        assert name in sources
    program, command, *argv = json.loads(
        words_of("demo.Dockerfile", "ENTRYPOINT")[0]
    )
    assert (program, command) == ("dmg-tf", "demo")
    args = demo.make_parser().parse_args(argv)
    (port,) = words_of("demo.Dockerfile", "EXPOSE")
    assert args.port == int(port) and args.host == "0.0.0.0"
    (health,) = words_of("demo.Dockerfile", "HEALTHCHECK")
    assert f"http://127.0.0.1:{port}/health" in health


@pytest.mark.parametrize("name", ["demo.Dockerfile", "serving.Dockerfile"])
def test_instructions_are_dockers(name):
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "USER", "EXPOSE"}
    known |= {"HEALTHCHECK", "ENTRYPOINT", "ENV"}
    assert {word for word, _ in lines_of(name)} <= known
