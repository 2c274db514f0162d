"""What `environment.json` says of the machine."""

import json
import os
import subprocess
import sys

import pytest

from dmg_tf.devices.onednn import VARIABLE
from dmg_tf.runs.environment import describe
from tests.conftest import ROOT


def test_it_can_be_written_as_json():
    found = json.loads(json.dumps(describe("weights.pth", "ab12")))
    assert found["weights"] == {"file": "weights.pth", "sha256": "ab12"}
    assert found["packages"].keys() >= {"tensorflow", "keras", "numpy"}
    assert found["devices"]
    assert isinstance(found["onednn"], bool)


@pytest.mark.parametrize("value", ["0", "1"])
def test_it_says_whether_onednn_computes(value):
    # TensorFlow decides once a process.
    code = (
        "import json, dmg_tf_command;"
        "from dmg_tf.runs.environment import describe;"
        "print(json.dumps(describe(None, None)['onednn']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, VARIABLE: value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) is (value == "1")
