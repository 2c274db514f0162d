"""DomainNet's layout with all of its classes, from lists to report."""

import json

import pytest

from benchmarks.startup import imitation
from dmg_tf.commands import check_data, evaluate, train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("with_stub")]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """6,000 listed images; painting learns from none of class 327."""
    root = tmp_path_factory.mktemp("domainnet")
    imitation(root, 6000)
    path = root / "painting_train.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(x for x in lines if not x.endswith(" 327")))
    return root


def test_a_run(data, tmp_path, capsys):
    run_dir = tmp_path / "run"
    argv = [
        *("--data", str(data), "--target", "sketch", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--epochs", "1"),
        *("--method", "aggregate"),  # which has the fewest predictions to score
        *("--output", str(run_dir)),
    ]
    assert train.main(argv) == 0
    printed = capsys.readouterr()
    assert "painting has no image of 'class_327'" in printed.err
    results = json.loads((run_dir / "results.json").read_text())
    assert results["config"]["dataset"] == "domainnet"
    assert results["in_domain_split"] == "test"
    counts = results["counts"]
    sources = ["clipart", "infograph", "painting", "quickdraw", "real"]
    assert counts["test"] == dict.fromkeys(sources, 300)
    assert counts["out_of_domain"] == {"sketch": 300}
    learned = {
        domain: counts["train"][domain] + counts["validation"][domain]
        for domain in sources
    }
    assert learned == {**dict.fromkeys(sources, 700), "painting": 698}
    names = results["class_names"]
    # The labels' order, which is not the alphabet's.
    assert len(names) == 345 and names[308] == "The_class_308"
    assert names != sorted(names)
    report = (run_dir / "report.html").read_text("utf-8")
    assert "confusion matrix of 345 classes" in report
    assert evaluate.main([str(run_dir), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["out_of_domain"] == results["out_of_domain"]


def test_the_check_takes_it(data, capsys):
    assert check_data.main([str(data), "--fast"]) == 0
    printed = capsys.readouterr().out
    assert "classes that a domain has no training image of" in printed
    assert "painting: class_327" in printed
