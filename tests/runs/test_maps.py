import numpy as np
import pytest

from dmg_tf.errors import DamagedFile
from dmg_tf.folders.checksums import Checksums
from dmg_tf.runs.maps import MAPS, read_maps, write_maps


def test_they_are_kept_as_shares_of_an_image(tmp_path):
    paths = ["a.png", "odd\udcff \u202e.png"]
    maps = np.zeros([2, 3, 2, 4])
    maps[0, 1, 1, 2], maps[0, 2, 0, 0] = 5.0, 1.0
    write_maps(Checksums(tmp_path), ["x", "y", "z"], paths, maps)
    found = read_maps(tmp_path)
    assert found.rules == ("x", "y", "z") and list(found.of) == paths
    np.testing.assert_array_equal(found.of[paths[0]], maps[0] / 5)
    assert not found.of[paths[1]].any()


def test_an_older_run_has_none(tmp_path):
    assert read_maps(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"rules": ["x"], "images": 3}',
        '{"rules": ["x"], "images": [{"path": "a", "maps": [[0.5]]}]}',
        '{"rules": ["x"], "images": [{"path": "a", "maps": [[[2]]]}]}',
        '{"rules": ["x"], "images": [{"path": "a", "maps": [[[NaN]]]}]}',
        '{"rules": ["x"], "images": [{"path": "a", "maps": [[["b"]]]}]}',
        '{"rules": ["x", "y"], "images": [{"path": "a", "maps": [[[1]]]}]}',
    ],
)
def test_damaged(tmp_path, text):
    (tmp_path / MAPS).write_text(text)
    with pytest.raises(DamagedFile, match=r"maps\.json is damaged"):
        read_maps(tmp_path)
