"""Predictions of files: as in evaluation, whatever some of the files are."""

import csv
import io
import itertools
import os
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from dmg_tf.commands import export, predict
from dmg_tf.data.examples import Examples
from dmg_tf.data.streams.evaluation import ImageSpec, evaluation_dataset
from dmg_tf.evaluation.evaluator import Evaluator
from dmg_tf.evaluation.scoring import dtype_policy
from dmg_tf.export import metadata as export_metadata
from dmg_tf.predict import stream as predict_stream
from dmg_tf.predict.inputs import collect_paths
from dmg_tf.predict.predictor import load_predictor
from tests.conftest import ROOT
from tests.export.helpers import (
    CLASSES,
    DOMAINS,
    SIZE,
    kernel_of,
    make,
    write_run,
)
from tests.helpers import methods_that_predict_otherwise

# The kind of prediction that each source domain has, where it has one.
KINDS = {
    "dmg": "mask",
    "multi_headed": "head",
    "fusion": "head",
    "tf_cnn": "domain",
}


pytestmark = pytest.mark.usefixtures("with_stub")


def with_clear_answers(model):
    """Makes its classes differ from image to image."""
    colours = 4.0 * np.random.default_rng(0).integers(0, 2, (32, 1, 1, 3)) - 2
    last = model.task_network.stages[-1]
    heads = getattr(last, "layers", [last])
    for head in heads:
        kernel_of(head).assign(15 * kernel_of(head))
    usual = model.logits(np.tile(colours, (1, SIZE, SIZE, 1)))
    for head in heads:
        head.bias.assign_sub(tf.reduce_mean(usual, axis=0))
    return model


class Trained:
    """A model, its run folder, and its SavedModel on demand."""

    def __init__(self, method, folder):
        self.model = with_clear_answers(make(method, "stub"))
        self.run = str(write_run(self.model, folder / method))
        self._saved = {}

    def saved(self, *flags):
        if flags not in self._saved:
            out = f"{self.run}-saved{len(self._saved)}"
            assert export.main([self.run, out, *flags]) == 0
            self._saved[flags] = out
        return self._saved[flags]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Gives the model of a method."""
    folder = tmp_path_factory.mktemp("runs")
    made = {}

    def get(method):
        if method not in made:
            made[method] = Trained(method, folder)
        return made[method]

    return get


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder of 11 readable images, no two alike, of many kinds."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    suffixes = itertools.cycle(["png", "jpg", "webp", "bmp"])
    for i, suffix in zip(range(11), suffixes, strict=False):
        # Strong colours, so that the classes differ.
        pixels = 255 * rng.integers(0, 2, (1 + i // 6, 1 + i % 3, 3), np.uint8)
        picture = PIL.Image.fromarray(pixels)
        picture.resize((40 + 5 * i, 60 - 3 * i)).save(root / f"{i}.{suffix}")
    return root


def predicted(*args):
    """Runs the program; returns its rows, from the file that it writes."""
    args = [str(arg) for arg in args]
    assert predict.main(args) == 0
    with open(args[args.index("--csv") + 1], newline="") as file:
        return list(csv.DictReader(file))


def expected_logits(model, paths, rules):
    """{rule: [N, C]} by the functions that evaluation uses."""
    examples = Examples.make(map(str, paths), [0] * len(paths), 0)
    spec = ImageSpec(SIZE, model.mean, model.std)
    dataset = evaluation_dataset(examples, spec, 64)
    found = Evaluator(model, rules)(dataset).predicted
    ((inputs, _),) = dataset
    pixels = tf.cast(inputs["image"], model.compute_dtype)
    # In a graph: 16 bits are rounded at other places outside of one.
    predict_all = tf.function(model.logits_by_rule, autograph=False)
    found_logits = predict_all(pixels, rules, inputs["domain_ids"])
    logits = {rule: value.numpy() for rule, value in found_logits.items()}
    for rule, values in logits.items():
        np.testing.assert_array_equal(values.argmax(-1), found[rule])
    return logits


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def assert_rows(rows, logits, rule, kind, atol=1e-5):
    """Checks rows against the logits by rule, {rule: [N, C]}."""
    each = [f"{kind}/{domain}" for domain in DOMAINS] if kind else []
    columns = {"class": logits[rule]}
    columns |= {f"{name}/class": logits[name] for name in each}
    assert list(rows[0]) == [
        "path",
        "class",
        "probability",
        *(f"{name}/{part}" for name in each for part in CLASS_AND_PROBABILITY),
        *(["votes", "agreement"] if kind else []),
        "error",
    ]
    for name, values in columns.items():
        classes = [CLASSES[i] for i in values.argmax(-1)]
        assert [row[name] for row in rows] == classes
        name = name.replace("class", "probability")
        found = [float(row[name]) for row in rows]
        np.testing.assert_allclose(found, softmax(values).max(-1), atol=atol)
    assert not any(row["error"] for row in rows)
    if kind:
        probs = [softmax(logits[name]) for name in each]
        pairs = list(itertools.combinations(probs, 2))
        apart = np.mean([np.abs(a - b).sum(-1) / 2 for a, b in pairs], axis=0)
        found = [float(row["agreement"]) for row in rows]
        np.testing.assert_allclose(found, 1 - apart, atol=atol)
        same = [logits[name].argmax(-1) for name in each]
        shares = np.mean(np.array(same) == logits[rule].argmax(-1), axis=0)
        found = [float(row["votes"]) for row in rows]
        np.testing.assert_allclose(found, shares, atol=1e-6)


CLASS_AND_PROBABILITY = ("class", "probability")


# === What is predicted ===


# Files are predicted by rules; that an export predicts as the model, by every
# method, is in tests/export.
@pytest.mark.parametrize("method", methods_that_predict_otherwise(["rules"]))
def test_run_and_saved_model_predict_as_evaluation(
    trained, images, tmp_path, method
):
    model, kind = trained(method), KINDS.get(method)
    rules = model.model.prediction_rules
    paths = list(collect_paths([str(images)]))
    logits = expected_logits(model.model, paths, rules)
    # Neither is the same for all images, or order would not be tested.
    assert len(set(logits["pred_ens"].argmax(-1))) > 1
    assert softmax(logits["pred_ens"]).max(-1).std() > 1e-3
    # More than a batch, and a smaller one at the end.
    flags = ["--batch-size", 4, "--csv", tmp_path / "out.csv"]
    for folder in (model.run, model.saved()):
        rows = predicted(folder, images, *flags)
        assert [row["path"] for row in rows] == paths
        assert_rows(rows, logits, "pred_ens", kind)


def test_other_rules(trained, images, tmp_path):
    model = trained("dmg")
    paths = list(collect_paths([str(images)]))
    each = [f"mask/{domain}" for domain in DOMAINS]
    logits = expected_logits(
        model.model, paths, ["pred_ens", "mask_ens", *each]
    )
    for rule in ("mask_ens", "mask/b"):
        assert np.abs(logits[rule] - logits["pred_ens"]).max() > 1e-2
    for rule, folder, *flags in [
        ("mask_ens", model.run, "--prediction-rule", "mask_ens"),
        ("mask/b", model.run, "--prediction-rule", "mask/b"),
        ("mask_ens", model.saved(), "--prediction-rule", "mask_ens"),
        ("mask/b", model.saved(), "--prediction-rule", "mask/b"),
    ]:
        rows = predicted(folder, images, *flags, "--csv", tmp_path / "o.csv")
        assert_rows(rows, logits, rule, "mask")


def test_a_folded_model_has_no_masks(trained, images, tmp_path, capsys):
    model = trained("dmg")
    paths = list(collect_paths([str(images)]))
    logits = expected_logits(model.model, paths, ["mask_ens"])
    folder = model.saved("--fold")
    rows = predicted(folder, images, "--csv", tmp_path / "out.csv")
    assert_rows(rows, logits, "mask_ens", None)
    done = capsys.readouterr().err.splitlines()[-1]
    assert done.endswith("out.csv: 11 images predicted by mask_ens")


def test_a_16_bit_run_predicts_in_its_precision(images, tmp_path):
    with dtype_policy("mixed_bfloat16"):
        model = with_clear_answers(make("dmg", "stub"))
    run = write_run(model, tmp_path / "run")
    results = run / "results.json"
    text = results.read_text()
    results.write_text(
        text.replace('"epochs"', '"precision": "mixed_bfloat16", "epochs"')
    )
    paths = list(collect_paths([str(images)]))
    rules = ["pred_ens", *(f"mask/{domain}" for domain in DOMAINS)]
    logits = expected_logits(model, paths, rules)
    rows = predicted(run, images, "--csv", tmp_path / "out.csv")
    assert_rows(rows, logits, "pred_ens", "mask")
    results.write_text(text)  # as of a run in float32
    exact = predicted(run, images, "--csv", tmp_path / "out.csv")
    errors = [
        abs(float(a["probability"]) - float(b["probability"]))
        for a, b in zip(rows, exact, strict=True)
    ]
    assert 1e-4 < max(errors) < 0.1


def test_top_k(trained, images, tmp_path):
    model = trained("aggregate")
    paths = list(collect_paths([str(images)]))
    logits = expected_logits(model.model, paths, ["pred_ens"])["pred_ens"]
    rows = predicted(
        model.run, images, "--top-k", len(CLASSES), "--csv", tmp_path / "o.csv"
    )
    places = ["", *(f"_{place}" for place in range(2, len(CLASSES) + 1))]
    for row, order, probs in zip(
        rows, np.argsort(-logits), softmax(logits), strict=True
    ):
        found = [row[f"class{place}"] for place in places]
        assert found == [CLASSES[i] for i in order]
        found = [float(row[f"probability{place}"]) for place in places]
        np.testing.assert_allclose(found, probs[order], atol=1e-5)


# === Files that can't be read ===


def test_unreadable_files_are_rows(trained, images, tmp_path, capsys):
    good = sorted(images.iterdir())[:4]
    png = next(path for path in good if path.suffix == ".png")
    jpg = next(path for path in good if path.suffix == ".jpg")
    bad = {
        "empty.png": (b"", "the file is empty"),
        "text, with comma.jpg": (b"hello", "it is no image that is read"),
        "cut.png": (png.read_bytes()[:-40], "truncated"),
        "cut.jpg": (jpg.read_bytes()[:300], "truncated"),
        "ü ☃\n.bmp": (b"BM", ""),
    }
    for name, (contents, _) in bad.items():
        (tmp_path / name).write_bytes(contents)
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    wrong = [*bad, "gone.png", "folder.png", "pipe.png"]
    listed = []
    for path, name in itertools.zip_longest(good, wrong):
        listed += [path] * bool(path) + [tmp_path / name]
    (tmp_path / "list").write_text(
        "\n".join(str(path) for path in listed if "\n" not in path.name)
    )
    args = ["--list", tmp_path / "list", tmp_path / "ü ☃\n.bmp"]
    rows = predicted(
        trained("dmg").run, *args, "--batch-size", 3, "--csv", tmp_path / "o"
    )
    assert len(rows) == len(listed) == 12
    found = {row["path"]: row for row in rows}
    whole = predicted(trained("dmg").run, *good, "--csv", tmp_path / "o")
    assert [found[str(path)] for path in good] == whole
    reasons = {name: reason for name, (_, reason) in bad.items()}
    reasons["gone.png"] = "no such file or directory"
    reasons["folder.png"] = "it is a folder"
    reasons["pipe.png"] = "it is not a regular file"
    for name, reason in reasons.items():
        row = found[str(tmp_path / name)]
        assert row["error"] and reason in row["error"].lower()
        assert set(row.values()) == {row["path"], "", row["error"]}
        assert "\n" not in row["error"]
    # In the order of the list; what is named outside of it comes first.
    order = [row["path"] for row in rows]
    assert order == [order[0], *(tmp_path / "list").read_text().split("\n")]
    said = capsys.readouterr().err
    assert "4 images predicted" in said
    assert "; 8 files could not be read, see the column error" in said


def test_nothing_readable(trained, tmp_path, capsys):
    (tmp_path / "a.png").touch()
    args = [tmp_path / "a.png", "--csv", tmp_path / "out.csv"]
    (row,) = predicted(trained("aggregate").run, *args)
    assert row["error"] == "the file is empty"
    said = capsys.readouterr().err
    assert "0 images predicted by pred_ens; 1 file could not be read" in said


def test_a_name_that_is_no_text(trained, images, tmp_path):
    name = os.fsencode(tmp_path) + b"/\xff\x80.png"
    with open(name, "wb") as file:
        file.write(next(images.glob("*.png")).read_bytes())
    csv_file = tmp_path / "out.csv"
    args = [trained("aggregate").run, os.fsdecode(name), "--csv", csv_file]
    assert predict.main([str(arg) for arg in args]) == 0
    row = csv_file.read_bytes().splitlines()[1]
    assert row.startswith(name + b",") and row.endswith(b",")


# === A stream ===


def test_images_are_read_as_they_are_needed(trained, images):
    """An endless list is no trouble, so memory can't depend on its length."""
    paths = list(collect_paths([str(images)]))
    taken = itertools.count()

    def endless():
        for path in itertools.cycle(paths):
            next(taken)
            yield path

    predictor = load_predictor(trained("dmg").run)
    stream = predict_stream.predict_stream(predictor, endless(), 5)
    batches = list(itertools.islice(stream, 8))
    found = [name for names, _, _ in batches for name in names]
    assert found == list(itertools.islice(itertools.cycle(paths), 40))
    # Equal images, equal answers, at whatever place of a batch they are.
    values = np.concatenate([answers.agreement for _, _, answers in batches])
    np.testing.assert_allclose(values[11:22], values[:11], atol=1e-5)
    assert next(taken) < 1000


# === The command line ===


def test_standard_output(trained, images, tmp_path, capsysbinary, monkeypatch):
    run = trained("dmg").run
    predicted(run, images, "--csv", tmp_path / "out.csv")
    capsysbinary.readouterr()

    class Stdin:
        buffer = io.BytesIO(
            os.fsencode("\n".join(collect_paths([str(images)])))
        )

    monkeypatch.setattr("sys.stdin", Stdin)
    assert predict.main([run, "-"]) == 0
    out, err = capsysbinary.readouterr()
    assert out == (tmp_path / "out.csv").read_bytes()
    assert err.startswith(
        b"11 images predicted by pred_ens; the masks disagree"
    )
    assert len(err.splitlines()) == 1


class Closed(io.RawIOBase):
    """Standard output that nobody reads, or on a full disk."""

    def __init__(self, error):
        self.error = error

    def write(self, data):
        raise self.error


def test_standard_output_breaks(trained, images, capfd, monkeypatch):
    class Stdout:
        buffer = Closed(OSError(28, "No space left on device"))
        isatty = fileno = lambda self: False

    monkeypatch.setattr("sys.stdout", Stdout())
    args = [trained("aggregate").run, str(images)]
    assert predict.main(args) == 2
    said = capfd.readouterr().err
    assert said.startswith("error: cannot write to standard output: the disk")
    with open(os.devnull, "w") as file:
        Stdout.buffer = Closed(BrokenPipeError(32, "Broken pipe"))
        Stdout.fileno = lambda self: file.fileno()
        assert predict.main(args) == 141
    assert capfd.readouterr().err == ""


def test_an_interrupt_leaves_nothing(trained, images, tmp_path, monkeypatch):
    batches = []

    def interrupted(self, reasons, answers):
        batches.append(reasons)
        raise KeyboardInterrupt

    monkeypatch.setattr("dmg_tf.predict.table.Tally.add", interrupted)
    out = tmp_path / "out.csv"
    out.write_text("what was there")
    args = [trained("aggregate").run, str(images), "--csv", str(out)]
    assert predict.main(args) == 130
    assert batches  # rows had been written
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_text() == "what was there"


def test_a_link_stays_one(trained, images, tmp_path):
    (tmp_path / "real.csv").touch()
    link = tmp_path / "link.csv"
    link.symlink_to("real.csv")
    rows = predicted(trained("aggregate").run, images, "--csv", link)
    assert link.is_symlink() and len(rows) == 11
    assert (tmp_path / "real.csv").stat().st_size > 0


def test_mistakes(trained, images, tmp_path, capsys):
    run, saved = trained("dmg").run, trained("dmg").saved()
    folded = trained("dmg").saved("--fold")
    place, out = tmp_path / "place", tmp_path / "out.csv"
    begun, foreign, newer, damaged = (tmp_path / n for n in "bfnd")
    for folder in (place, begun, foreign, newer, damaged):
        folder.mkdir()
    (begun / "config.json").touch()
    tf.saved_model.save(tf.Module(), str(foreign))
    for folder, version in (
        (newer, 99),
        (damaged, export_metadata.FORMAT_VERSION),
    ):
        (folder / "assets").mkdir()
        (folder / "saved_model.pb").write_bytes(b"no such thing")
        metadata = folder / "assets" / "metadata.json"
        metadata.write_text(f'{{"format_version": {version}}}')
    (place / "model.keras").touch()
    before = sorted(tmp_path.rglob("*"))
    for args, message in [
        ((tmp_path / "no", images), "no does not exist; give a run folder"),
        ((images / "0.png", images), "is a file; give a run folder"),
        ((images, images), "there is no model in"),
        ((begun, images), "is not finished: it kept no model.keras yet"),
        ((place, images), "is not finished: cannot read"),
        ((foreign, images), "was not written by dmg_tf.export"),
        ((newer, images), "has format 99, this version reads 1"),
        ((damaged, images), "cannot read the model in"),
        ((run, tmp_path / "no"), "there is no"),
        ((run, place), "no images found in"),
        ((run, images, "--top-k", "6"), "more than the model's 5 classes"),
        ((run, images, "--prediction-rule", "mask/d"), "known: pred_ens"),
        ((run, images, "--prediction-rule", "known_domain"), "needs the dom"),
        ((saved, images, "--prediction-rule", "mask_en"), "mean 'mask_ens'?"),
        ((folded, images, "--prediction-rule", "x"), "known: mask_ens."),
        ((run, images, "--csv", place), "is a folder"),
        ((run, images, "--csv", "/dev/null"), "is a device or a pipe"),
        ((run, images, "--csv", out / "o.csv"), "there is no folder"),
        ((run, images, "--csv", tmp_path / ("o" * 300)), "File name too long"),
    ]:
        capsys.readouterr()
        args = [str(arg) for arg in args]
        if "--csv" not in args:
            args += ["--csv", str(out)]
        assert predict.main(args) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and len(said.splitlines()) == 1
        assert message in said
        assert sorted(tmp_path.rglob("*")) == before
    for args in ([run], [run, "x", "--top-k", "0"], [run, "x", "--top-k", "a"]):
        with pytest.raises(SystemExit, match="2"):
            predict.main(args)


def test_mistakes_are_told_before_tensorflow_is_loaded():
    code = (
        "import sys, dmg_tf_command\n"
        "from dmg_tf.commands import predict\n"
        "code = predict.main(['no such folder', 'x'])\n"
        "sys.exit(code if 'tensorflow' not in sys.modules else 1)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60)
    assert done.returncode == 2
