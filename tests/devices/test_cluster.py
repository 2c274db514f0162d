import json

import pytest

from dmg_tf.devices.cluster import Cluster, read_cluster
from dmg_tf.errors import UserError


def config(cluster, **task):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


def test_no_cluster():
    assert read_cluster({}) == Cluster((), (), 0)
    assert read_cluster({"TF_CONFIG": "{}"}).addresses == ()


def test_a_chief_comes_first():
    jobs = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    found = read_cluster(config(jobs, type="worker", index=1))
    assert found.addresses == ("a:1", "b:1", "c:1")
    assert found.names == ("chief/0", "worker/0", "worker/1")
    assert found.index == 2 and not found.is_chief
    assert found.describe(0) == "worker 0 (a:1)"
    assert read_cluster(config(jobs, type="chief", index=0)).is_chief


@pytest.mark.parametrize(
    "environment,words",
    [
        ({"TF_CONFIG": "worker"}, "cannot read TF_CONFIG"),
        ({"TF_CONFIG": "[1]"}, "cannot read TF_CONFIG"),
        (config({"ps": ["a:1"]}), "the job 'ps'"),
        (config({"worker": ["a:1"]}, type="worker", index=1), "worker/1"),
        (config({"worker": ["a:1"]}), "calls this process None/None"),
        (config({"worker": []}, type="worker", index=0), "no workers"),
        (config({"worker": ["a"]}, type="worker", index=0), "HOST:PORT"),
    ],
)
def test_mistakes_name_what_would_be_right(environment, words):
    with pytest.raises(UserError, match=words) as error:
        read_cluster(environment)
    assert "TF_CONFIG" in str(error.value) and "2222" in str(error.value)
