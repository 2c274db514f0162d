"""KerasTuner's variables, whole, partial and wrong."""

import pytest

from dmg_tf.errors import UserError
from dmg_tf.studies.search.cluster import Place, place_from_environment

WHOLE = {
    "KERASTUNER_TUNER_ID": "worker1",
    "KERASTUNER_ORACLE_IP": "10.0.0.7",
    "KERASTUNER_ORACLE_PORT": "8000",
}


def test_places():
    assert place_from_environment({}) == Place()
    place = place_from_environment(WHOLE)
    assert place == Place("worker", "worker1", "10.0.0.7:8000")
    chief = place_from_environment({**WHOLE, "KERASTUNER_TUNER_ID": "chief"})
    assert chief.role == "chief"


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_variable_is_named(name, value):
    rest = {k: v for k, v in WHOLE.items() if k != name}
    if value is not None:
        rest[name] = value
    with pytest.raises(UserError, match=f"missing: {name}"):
        place_from_environment(rest)


@pytest.mark.parametrize("port", ["eighty", "0", "65536", "-1"])
def test_a_port_that_cannot_be(port):
    with pytest.raises(UserError, match="from 1 to 65535"):
        place_from_environment({**WHOLE, "KERASTUNER_ORACLE_PORT": port})
