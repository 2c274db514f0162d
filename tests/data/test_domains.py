import pytest

from dmg_tf.data.domains import domain_names
from dmg_tf.data.shapes.dataset import DOMAINS
from dmg_tf.errors import UserError


def test_domains_of_each_layout(tiny_folder, tmp_path):
    assert domain_names("auto", None) == DOMAINS
    assert domain_names("auto", str(tiny_folder)) == ("a", "b", "c")
    for name in ("z", "y"):
        line = f"{name}/dog/1.png 0\n"
        (tmp_path / f"{name}_train.txt").write_text(line)
    assert domain_names("auto", str(tmp_path)) == ("y", "z")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "u_train_kfold.txt").write_text("u/dog/1.png 1\n")
    # A note that is called as a list is none.
    (tmp_path / "splits" / "note_train_kfold.txt").write_text("See above.\n")
    assert domain_names("auto", str(tmp_path)) == ("u",)
    assert domain_names("domainnet", str(tmp_path)) == ("y", "z")


def test_folders_without_domains(tmp_path):
    for dataset, words in (
        ("folder", "has no folders"),
        ("pacs", "there are no lists"),
    ):
        with pytest.raises(UserError, match=words):
            domain_names(dataset, str(tmp_path))
