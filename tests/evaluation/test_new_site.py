"""A site alone is scored by a model that has not seen it."""

import json
import shutil

import pytest

from dmg_tf.commands import evaluate, train
from tests.conftest import write_images
from tests.training.runs import short_run


@pytest.fixture(scope="module")
def final(tiny_folder, tmp_path_factory, with_stub):
    """The folder of a run that learned from all domains."""
    from dmg_tf.experiment import run_training

    output = tmp_path_factory.mktemp("runs") / "final"
    run_training(short_run(tiny_folder, output, target="none", epochs=1))
    return output


@pytest.fixture
def site(tiny_folder, tmp_path):
    """DIR/<class>/<image>: the images of domain c under another name."""
    shutil.copytree(tiny_folder / "c", tmp_path / "clinic")
    return tmp_path / "clinic"


def scored(capsys, *argv):
    capsys.readouterr()
    assert evaluate.main([*map(str, argv), "--json"]) == 0
    printed = capsys.readouterr()
    return json.loads(printed.out), printed.err


def test_classes_are_told_by_name(final, site, tiny_folder, capsys, tmp_path):
    shutil.rmtree(site / "y")
    (site / "z").rename(site / "unheard")
    (tmp_path / "beside").mkdir()
    results, notes = scored(capsys, final, "--data", site)
    assert results["config"]["target"] == "clinic"
    assert results["counts"]["out_of_domain"] == {"clinic": 12}
    assert "12 images of clinic are of 'unheard', which the model" in notes
    assert "beside" not in notes
    before = json.loads((final / "results.json").read_text())
    assert results["in_domain"] == before["in_domain"]
    assert results["metrics"]["in_domain"] == before["metrics"]["in_domain"]
    numbers = results["metrics"]["out_of_domain"]["pred_ens"]["overall"]
    assert numbers["classes"]["images"] == [12, 0, 0]
    assert "mask/a" in results["out_of_domain"]
    assert "known_domain" not in results["out_of_domain"]
    argv = [str(final), "--data", str(site), "--prediction-rule", "pred_ens"]
    assert evaluate.main(argv) == 0
    assert "clinic (never seen)" in capsys.readouterr().out


def test_it_is_the_accuracy_of_these_images(
    tiny_folder, site, tmp_path, capsys, with_stub
):
    """As of the run that held them out."""
    argv = [
        *("--data", tiny_folder, "--target", "c", "--backbone", "stub"),
        *("--weights", "none", "--image-size", "32", "--epochs", "1"),
        *("--output", tmp_path / "run"),
    ]
    assert train.main(list(map(str, argv))) == 0
    run = json.loads((tmp_path / "run" / "results.json").read_text())
    results, _ = scored(capsys, tmp_path / "run", "--data", site)
    for rule, row in run["out_of_domain"].items():
        assert results["out_of_domain"][rule]["clinic"] == row["c"]


def test_one_of_several_sites(final, tmp_path, capsys):
    root = write_images(tmp_path / "sites", ("north", "south"), ("x", "y"), 3)
    assert evaluate.main([str(final), "--data", str(root)]) == 2
    line = capsys.readouterr().err
    assert "name one of north, south by --target" in line
    results, _ = scored(capsys, final, "--data", root, "--target", "south")
    assert results["counts"]["out_of_domain"] == {"south": 6}
    shutil.rmtree(root / "north")
    results, _ = scored(capsys, final, "--data", root)
    assert results["counts"]["out_of_domain"] == {"south": 6}


def test_a_damaged_image_is_named_or_left_out(final, site, capsys):
    (site / "x" / "0.png").write_bytes(b"no image")
    assert evaluate.main([str(final), "--data", str(site)]) == 2
    assert str(site / "x" / "0.png") in capsys.readouterr().err
    results, _ = scored(capsys, final, "--data", site, "--on-bad-image", "skip")
    assert results["counts"]["out_of_domain"] == {"clinic": 35}
    assert list(results["bad_images"]) == [str(site / "x" / "0.png")]


@pytest.mark.parametrize(
    "rename,words",
    [
        (["X", "Y", "Z"], "no images of a class that the model knows"),
        ([], "holds no image"),
    ],
)
def test_what_is_no_site(final, site, tmp_path, capsys, rename, words):
    root = tmp_path / "other" / "place"
    root.mkdir(parents=True)
    for old, new in zip("xyz", rename, strict=False):
        (site / old).rename(root / new)
    if rename:
        root = root.parent
    assert evaluate.main([str(final), "--data", str(root)]) == 2
    line = capsys.readouterr().err
    assert words in line and line.count("\n") == 1


def test_images_without_labels(final, tiny_folder, tmp_path, capsys):
    """No folder is called as a class: they are predicted, not scored."""
    run, root = tmp_path / "run", tmp_path / "clinic"
    run.symlink_to(final)
    root.mkdir()
    for name, day in zip("xyz", ("monday", "tuesday", ""), strict=True):
        shutil.copytree(
            tiny_folder / "c" / name, root / day, dirs_exist_ok=True
        )
    results, _ = scored(capsys, run, "--data", root)
    assert results["images"] == sum(results["predicted"]) == 36
    sources = json.loads((final / "results.json").read_text())["metrics"]
    sources = sources["in_domain"]["pred_ens"]["overall"]
    assert results["sources"]["images"] == sources["images"]
    assert results["sources"]["accuracy"] == sources["accuracy"]
    assert (tmp_path / "run-on-clinic.csv").exists()
    argv = [str(run), "--data", str(root), "--prediction-rule"]
    assert evaluate.main([*argv, "mask/a"]) == 0
    assert "predicted by mask of a" in capsys.readouterr().out
    assert evaluate.main([*argv, "mask/a", "mask/b"]) == 2
    assert "give one --prediction-rule" in capsys.readouterr().err
    # Who names a site says that there are classes.
    assert evaluate.main([*argv[:3], "--target", "monday"]) == 2
    assert "no images of a class" in capsys.readouterr().err
