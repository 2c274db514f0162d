"""Results of a method that is not installed, with rules of its own."""

import json
import subprocess
import sys

import pytest

from dmg_tf.commands import evaluate, report
from dmg_tf.report.run_page import write_run_report
from dmg_tf.report.text import results_text
from dmg_tf.rules import PredictionRule, domain_rules
from dmg_tf.runs.history import history_csv, read_history
from tests.conftest import ROOT
from tests.report.runs import DOMAINS, write_run

RULES = (
    PredictionRule("gated", "gated experts"),
    PredictionRule("surest", "surest expert"),
    PredictionRule("own_expert", "own expert", needs_domain=True),
    *domain_rules("expert", DOMAINS),
    PredictionRule("half", "half of it", selects=True, shown=False),
)


@pytest.fixture
def run_dir(tmp_path):
    write_run(tmp_path, method="experts", rules=RULES)
    folder = tmp_path / "run"
    results = json.loads((folder / "results.json").read_text())
    results["selection"]["rule"] = "half"
    # A method without masks need not say so.
    del results["mask_iou"], results["mask_density"]
    (folder / "results.json").write_text(json.dumps(results))
    history = read_history(folder / "history.csv")
    for row in history:
        row["gate_entropy"] = 0.5
    (folder / "history.csv").write_text(history_csv(history))
    return folder


def test_page(run_dir):
    assert report.main([str(run_dir)]) == 0
    html = (run_dir / "report.html").read_text("utf-8")
    for words in (
        "t (never seen): ",
        '<p class="quiet">experts. Trained on a, b, c of ',
        "What is taken for what in t (gated experts)",
        ">expert of b</th>",
        ">surest expert</th>",
        "The experts disagree most",
        "below, what each expert says",
        "% (half of it).",
        "<h3>gate entropy</h3>",
    ):
        assert words in html
    assert html.count(">selected</text>") == 3  # accuracy, loss, gate entropy
    assert "Binary masks" not in html and "Mask overlap" not in html


def test_text(run_dir):
    results = json.loads((run_dir / "results.json").read_text())
    text = results_text(results)
    share = results["out_of_domain"]["gated"]["overall"]
    assert text.startswith(f"t (never seen): {100 * share:.0f} % right (95 % ")
    for rule in RULES[:-1]:
        assert f"\n  {rule.title}  " in text
    assert "(half of it)" in text and "IoU" not in text


def test_an_installed_method_says_whose_it_is(tmp_path):
    write_run(tmp_path)
    write_run_report(tmp_path / "run")
    html = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert ">DMG (Chattopadhyay, Balaji and Hoffman, ECCV 2020). Tr" in html
    assert "<h3>sIoU</h3>" in html


def test_no_model_is_imported():
    code = (
        "import sys, dmg_tf_command\n"
        "import dmg_tf.report.run_page, dmg_tf.report.text\n"
        "models = [n for n in sys.modules if n.endswith(('.model', '.base'))]\n"
        "sys.exit('tensorflow' in sys.modules or str(models) != '[]')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60)
    assert done.returncode == 0


def test_evaluate_lists_the_rules_of_the_run(tmp_path, capsys):
    write_run(tmp_path)
    argv = [str(tmp_path / "run"), "--prediction-rule", "mask_ens", "mask/q"]
    assert evaluate.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    known = "pred_ens, mask_ens, known_domain, mask/a, mask/b, mask/c"
    assert f"unknown prediction rule 'mask/q'; known: {known}" in line
    assert "Did you mean 'mask/" in line
