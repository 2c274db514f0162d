"""What docs/scaling.md has people paste into job scripts."""

import re
import subprocess

import pytest

from dmg_tf.devices.cluster import read_cluster
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "scaling.md").read_text("utf-8")
# What the schedulers would set, for the second of some workers.
SCHEDULER = """
scontrol() { printf 'host1\\nhost2\\nhost3\\nhost4\\n'; }
SLURM_JOB_NODELIST=host[1-4]
SLURM_PROCID=1
JOB_COMPLETION_INDEX=1
"""


@pytest.mark.parametrize(
    "title,own", [("Slurm", "host2:2222"), ("Kubernetes", "dmg-1.dmg:2222")]
)
def test_job_scripts_name_the_workers(title, own):
    (section,) = re.findall(rf"### {title}\n(.*?)\n##", PAGE, re.DOTALL)
    lines = [
        line.strip()
        for line in section.splitlines()
        if re.match(r" *(workers=|export TF_CONFIG=)", line)
    ]
    assert len(lines) == 2
    script = "\n".join([SCHEDULER, *lines, 'printf %s "$TF_CONFIG"'])
    done = subprocess.run(
        ["bash", "-euc", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    cluster = read_cluster({"TF_CONFIG": done.stdout})
    assert len(cluster.addresses) == 4 and cluster.index == 1
    assert cluster.addresses[1] == own
