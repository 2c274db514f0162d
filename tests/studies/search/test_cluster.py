"""KerasTuner's variables, whole, partial and wrong."""

import pytest

from dmg_tf.errors import UserError
from dmg_tf.studies.search.cluster import Process, process_from_environment

WHOLE = {
    "KERASTUNER_TUNER_ID": "worker1",
    "KERASTUNER_ORACLE_IP": "10.0.0.7",
    "KERASTUNER_ORACLE_PORT": "8000",
}


def test_processes():
    assert process_from_environment({}) == Process()
    process = process_from_environment(WHOLE)
    assert process == Process("worker", "worker1", "10.0.0.7:8000")
    chief = process_from_environment({**WHOLE, "KERASTUNER_TUNER_ID": "chief"})
    assert chief.role == "chief"


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(name, value):
    rest = {k: v for k, v in WHOLE.items() if k != name}
    if value is not None:
        rest[name] = value
    with pytest.raises(UserError, match=f"missing: {name}"):
        process_from_environment(rest)


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1"])
def test_a_port_that_cannot_be(port):
    with pytest.raises(UserError, match="from 1 to 65535"):
        process_from_environment({**WHOLE, "KERASTUNER_ORACLE_PORT": port})
