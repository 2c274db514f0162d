"""The report of a run: its numbers, its images, its names, its command."""

import base64
import html as html_text
import io
import json
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from dmg_tf.commands import report
from dmg_tf.commands.train import make_parser
from dmg_tf.flags import config_from_args
from dmg_tf.report.run_page import write_run_report
from dmg_tf.rules import scored_rules
from dmg_tf.runs.predictions import read_predictions
from tests.conftest import ROOT
from tests.report.runs import write_run

# Names as folders can have them.
NASTY = (
    '<script>alert("x")</script>',
    "http://example.com/a.png'onerror='b",
    "</style></title>&lt;\u202e",
    "line\nbreak, and comma",
    "日本 " + "very_long_name_" * 8,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of `dmg` with its data; not to be changed."""
    path = tmp_path_factory.mktemp("dmg")
    write_run(path, metrics=True)
    write_run_report(path / "run")
    return path


@pytest.fixture
def own(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "own")
    return tmp_path / "own"


def html_of(path):
    return (path / "run" / "report.html").read_text("utf-8")


def results_of(path):
    return json.loads((path / "run" / "results.json").read_text())


def rows_of(html, title):
    """The tables of a panel, as lists of text."""
    panel = html[html.index(f"<h2>{title}") :]
    panel = panel[: panel.index("</section>")]
    return [
        [re.sub(r"<[^>]*>", "", c) for c in re.findall(r"<t[hd].*?</t[hd]>", r)]
        for r in re.findall(r"<tr.*?</tr>", panel)
    ]


def images_of(html):
    found = re.findall(r'src="data:image/(\w+);base64,([^"]*)"', html)
    return [PIL.Image.open(io.BytesIO(base64.b64decode(d))) for _, d in found]


def test_accuracy_is_that_of_the_results(folder):
    html, results = html_of(folder), results_of(folder)
    rows = {row[0]: row[1:] for row in rows_of(html, "Accuracy in and out")}
    for rule in scored_rules(results):
        row = results["in_domain"][rule.name]
        outside = results["out_of_domain"].get(rule.name)
        expected = [100 * outside["t"]] if outside else [None]
        expected += [100 * row[d] for d in ("overall", "a", "b", "c")]
        for cell, share in zip(rows.pop(rule.title), expected, strict=True):
            shown = "-" if share is None else f"{share:.0f}"
            assert cell.startswith(shown) and (" to " in cell) != (cell == "-")
    assert list(rows) == ["prediction"]
    share = results["out_of_domain"]["pred_ens"]["t"]
    assert f'class="value">{100 * share:.0f}\u00a0%<' in html


def test_classes_are_those_of_the_results(folder):
    html, results = html_of(folder), results_of(folder)
    numbers = results["metrics"]["out_of_domain"]["pred_ens"]["overall"]
    rows = {row[0]: row[1:] for row in rows_of(html, "By class")}
    for i, name in enumerate(results["class_names"]):
        images, recall, precision, f1, *sources = rows[name]
        of_class = numbers["classes"]
        assert images == str(of_class["images"][i]) and len(sources) == 4
        assert recall.startswith(f"{100 * of_class['recall'][i]:.0f}")
        assert precision == f"{100 * of_class['precision'][i]:.0f}"
        assert f1 == f"{100 * of_class['f1'][i]:.0f}"


def test_how_sure_it_is(folder):
    html, results = html_of(folder), results_of(folder)
    numbers = results["metrics"]["out_of_domain"]["pred_ens"]["overall"]
    rows = {row[0]: row[1:] for row in rows_of(html, "How sure it is")}
    assert rows["t"][-1] == f"{numbers['brier']:.3f}"
    found = numbers["abstain"]["0.05"]
    least, decided, wrong, *_ = rows["5\u00a0%"]
    assert least == "80.0\u00a0%"
    assert decided == f"{100 * found['coverage']:.0f}\u00a0%"
    assert wrong == f"{100 * found['risk']:.0f}\u00a0%"
    assert rows["20\u00a0%"][:3] == ["nothing", "0\u00a0%", "-"]


def test_a_run_without_a_target(own):
    path = own / "run" / "results.json"
    results = json.loads(path.read_text())
    results["config"]["target"] = "none"
    results["out_of_domain"] = results["counts"]["out_of_domain"] = {}
    results["metrics"]["out_of_domain"] = {}
    path.write_text(json.dumps(results))
    write_run_report(own / "run")
    html = html_of(own)
    assert "no unseen domain was measured; sources: " in html
    assert "None" not in html and "Lost outside" not in html


def test_masks_are_those_of_the_results(folder):
    html, results = html_of(folder), results_of(folder)
    rows = {row[0]: row[1:] for row in rows_of(html, "Binary masks")}
    for parts in (results["mask_iou"], results["mask_density"]):
        for name in parts["fc"]:
            found = rows[name.replace("|", " &amp; ")]
            assert found == [f"{parts[s][name]:.3f}" for s in parts]


def test_confusion_counts_the_predictions(folder):
    html, results = html_of(folder), results_of(folder)
    rows = rows_of(html, "What is taken for what")[1:4]
    counts = [[int(cell or 0) for cell in row[1:4]] for row in rows]
    assert sum(map(sum, counts)) == 30
    right = sum(counts[i][i] for i in range(3))
    share = results["out_of_domain"]["pred_ens"]["t"]
    assert right / 30 == pytest.approx(share)
    assert [int(row[4]) for row in rows] == [10, 10, 10]


def test_every_epoch_is_there_and_the_selected_one_marked(folder):
    html, results = html_of(folder), results_of(folder)
    rows = rows_of(html, "Training")
    assert [row[0] for row in rows] == ["epoch", "1", "2", "3"]
    assert html.count(">selected</text>") == 3  # accuracy, loss, sIoU
    epoch = results["selection"]["epoch"]
    assert f"Epoch {epoch} of 3 was selected by source validation" in html


def test_contents_lead_to_every_panel(folder):
    html = html_of(folder)
    nav = html[html.index("<nav") : html.index("</nav>")]
    links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', nav)
    panels = re.findall(r'<section id="([^"]+)"[^>]*><h2>([^<]+)</h2>', html)
    assert links == panels and len({anchor for anchor, _ in links}) > 10
    assert (
        "accuracy-in-and-out-of-domain",
        "Accuracy in and out of domain",
    ) in (links)


def test_tables_and_pictures_have_names(folder):
    html = html_of(folder)
    names = re.findall(r"<caption[^>]*>([^<]+)</caption>", html)
    assert len(names) == html.count("<table>") > 8
    regions = re.findall(r'role="region" aria-label="([^"]+), scrolls', html)
    assert regions == names
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', html)
    for alt in alts:
        assert re.fullmatch(
            r"[xyz] of [abct], (told right|taken for [xyz])", alt
        )


def test_the_sources_confusions_and_worst_images(folder):
    html, results = html_of(folder), results_of(folder)
    rows = rows_of(html, "What is taken for what in the sources")
    total = sum(int(c or 0) for row in rows[1:4] for c in row[1:4])
    assert total == sum(results["counts"]["validation"].values())
    by_source = rows[
        rows.index(["domain", "true class", "taken for", "images"]) :
    ]
    assert {row[0] for row in by_source[1:]} == set("abc")
    split = read_predictions(
        folder / "run/predictions.csv", results["class_names"], "validation"
    )
    told = split.predictions
    wrong = told.predicted["pred_ens"] != told.labels
    sure = np.where(wrong, told.probabilities["pred_ens"], 0)
    panel = html[html.index("<h2>Wrong in the sources") :]
    panel = panel[: panel.index("</section>")]
    for i, domain in enumerate("abc"):
        worst = np.argmax(np.where(told.domain_ids == i, sure, 0))
        assert split.paths[worst].endswith(
            re.search(rf"<h3>{domain}</h3>.*?title=\"([^\"]+)", panel)[1]
        )


def test_one_epoch_has_no_curve(tmp_path):
    write_run(tmp_path, epochs=1)
    write_run_report(tmp_path / "run")
    html = html_of(tmp_path)
    assert "<svg" not in html and "<details" not in html
    assert [row[0] for row in rows_of(html, "Training")] == ["epoch", "1"]


def test_the_command_that_made_it(folder):
    (made,) = re.findall(r"Made by <code>(.*?)</code>", html_of(folder))
    _, argv = html_text.unescape(made).split("train ", 1)
    argv = shlex.split(argv)
    config = config_from_args(make_parser(argv).parse_args(argv))
    assert (config.target, config.epochs, config.seed) == ("t", 3, 0)
    assert config.options.mask_sites == ("layer4", "fc")


def test_all_images_decode(folder):
    images = images_of(html_of(folder))
    assert 12 <= len(images) <= 24 + 3 * 3
    for image in images:
        image.load()
        assert image.format == "JPEG" and image.size == (56, 40)


def test_it_is_one_small_file_that_asks_for_nothing(folder):
    html = html_of(folder)
    assert len(html) < 300_000
    without_images = re.sub(r"base64,[^\"]*", "", html)
    for word in ("http:", "https:", "//", "<script", "url(", "@import"):
        assert word not in without_images
    assert re.findall(r'(?:src|href)="(?!data:|#)', html) == []
    names = {path.name for path in (folder / "run").iterdir()}
    assert not [name for name in names if name.startswith(".")]


def test_names_are_escaped(tmp_path):
    write_run(tmp_path, NASTY[:3], NASTY, NASTY[1].replace("/", "|"))
    write_run_report(tmp_path / "run")
    html = html_of(tmp_path)
    assert "<script" not in html and "onerror='" not in html
    assert "\u202e" not in html and "\\u202e" in html
    assert html.count("</style>") == 1
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in html


@pytest.mark.parametrize("method", ["aggregate", "multi_headed"])
def test_methods_without_masks(tmp_path, method):
    write_run(tmp_path, method=method)
    write_run_report(tmp_path / "run")
    html = html_of(tmp_path)
    assert "Binary masks" not in html and "Mask overlap" not in html
    assert ("The heads disagree most" in html) == (method == "multi_headed")
    assert len(images_of(html)) > 9


def test_many_classes(tmp_path):
    classes = tuple(f"class {i}" for i in range(345))
    domains = ("a", "b", "c", "d", "e")
    write_run(tmp_path, domains, classes, images=690, epochs=50)
    write_run_report(tmp_path / "run")
    html = html_of(tmp_path)
    assert len(html) < 1_000_000
    of_all = [i.size for i in images_of(html) if i.format == "PNG"]
    assert of_all == [(345, 345)] * 2  # of the target, and of the sources
    assert len(rows_of(html, "What is taken for what")) == 13  # and its head


def test_without_data_it_says_so(own):
    """And finds the images again where they are now."""
    data = results_of(own)["config"]["data"]
    for name in ("results.json", "predictions.csv"):
        path = own / "run" / name
        assert data in path.read_text()
        path.write_text(path.read_text().replace(data, "/gone/data"))
    assert report.main([str(own / "run")]) == 0
    html = html_of(own)
    assert images_of(html) == [] and html.count(">no picture<") > 9
    assert "/gone/data may have moved" in html
    argv = [str(own / "run"), "--data", str(own / "data")]
    assert report.main(argv) == 0
    html = html_of(own)
    assert len(images_of(html)) > 9 and "no picture" not in html


def test_without_predictions_it_says_so(own):
    (own / "run" / "predictions.csv").unlink()
    assert report.main([str(own / "run")]) == 0
    html = html_of(own)
    assert images_of(html) == []
    assert "There is no predictions.csv in the run folder" in html


def test_same_files_same_bytes(folder, own, capsys):
    # But for where they are, which its commands say.
    before = html_of(own).replace(f"{folder}/run", f"{own}/run")
    (own / "run" / "report.html").unlink()
    assert report.main([str(own / "run")]) == 0
    assert html_of(own) == before
    assert "report.html: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "name,contents,words",
    [
        ("results.json", None, "is not finished"),
        ("config.json", None, "is not a run folder"),
        ("history.csv", None, "history.csv"),
        ("history.csv", "epoch,loss\n1,x\n", "history.csv"),
        ("environment.json", "{", "environment.json"),
        ("predictions.csv", "path\n", "predictions.csv"),
    ],
)
def test_mistakes(own, capsys, name, contents, words):
    before = html_of(own)
    path = own / "run" / name
    path.unlink() if contents is None else path.write_text(contents)
    assert report.main([str(own / "run")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
    assert html_of(own) == before  # what is there stays


def test_data_that_does_not_exist(own, capsys):
    argv = [str(own / "run"), "--data", str(own / "nowhere")]
    assert report.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{own / 'nowhere'} does not exist" in line


def test_the_command_does_without_tensorflow(own):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dmg_tf.report"]
        + [str(own / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "dmg_tf.report" in loaded
    assert not {"tensorflow", "keras"} & loaded
