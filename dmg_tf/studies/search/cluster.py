"""One process or many: KerasTuner's chief and workers, from the environment."""

import dataclasses
import os
from collections.abc import Mapping

from dmg_tf.errors import UserError

_ID = "KERASTUNER_TUNER_ID"
_IP = "KERASTUNER_ORACLE_IP"
_PORT = "KERASTUNER_ORACLE_PORT"


@dataclasses.dataclass(frozen=True)
class Process:
    """What this process is in a search.

    Attributes:
        role: "alone", "chief" or "worker".
        name: Its name among the workers.
        address: Where the chief is, as host:port; empty if alone.
    """

    role: str = "alone"
    name: str = "tuner0"
    address: str = ""


def process_from_environment(
    environment: Mapping[str, str] = os.environ,
) -> Process:
    """Reads KerasTuner's own variables.

    Args:
        environment: Has all three of KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP
            and KERASTUNER_ORACLE_PORT, or none. A name with "chief" in it is
            the chief's.

    Raises:
        UserError: If some are missing, or the port is none.
    """
    given = {name: environment.get(name, "") for name in (_ID, _IP, _PORT)}
    missing = [name for name, value in given.items() if not value]
    if not any(name in environment for name in given):
        return Process()
    if missing:
        raise UserError(
            "a search by several processes needs all of "
            f"{', '.join(given)}; missing: {', '.join(missing)}"
        )
    port = given[_PORT]
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise UserError(
            f"{_PORT} must be a whole number from 1 to 65535, got {port!r}"
        )
    role = "chief" if "chief" in given[_ID] else "worker"
    return Process(role, given[_ID], f"{given[_IP]}:{port}")
