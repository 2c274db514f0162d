import numpy as np
import pytest

from dmg_tf.data.datasets.folder import load
from dmg_tf.data.images.bad_images import bad_image_error, find_bad_images


@pytest.fixture(scope="module")
def data(tiny_folder):
    return load(tiny_folder, "c")


def test_bad_images_are_found_and_named(data, tmp_path):
    paths = list(data.validation.paths)
    contents = open(paths[0], "rb").read()
    bad = {
        "empty.png": b"",
        "cut.png": contents[:200],
        "text.jpg": b"hello",
    }
    for name, value in bad.items():
        (tmp_path / name).write_bytes(value)
    gone = str(tmp_path / "gone.png")
    everything = [*paths, *(str(tmp_path / name) for name in bad), gone]
    done = []
    found = find_bad_images(everything, done.append)
    assert sorted(found) == sorted(everything[len(paths) :])
    assert found[str(tmp_path / "empty.png")] == "the file is empty"
    assert found[str(tmp_path / "text.jpg")] == (
        "it is no image that is read; JPEG, PNG, BMP, GIF, WebP and TIFF are"
    )
    assert "truncated" in found[str(tmp_path / "cut.png")]
    assert found[gone] == "No such file or directory"
    assert sum(done) == len(everything)
    message = str(bad_image_error(found))
    assert "(and 3 more); mend or remove it" in message
    assert "\n" not in message


@pytest.mark.data
def test_all_of_pacs_is_readable_at_one_size(pacs):
    from dmg_tf.data.datasets.pacs import load as load_pacs

    data = load_pacs(pacs, "sketch")
    sample = data.train.select(np.arange(0, len(data.train), 60))
    assert not find_bad_images(sample.paths)
