"""The machines of a run, as the environment variable TF_CONFIG names them."""

import dataclasses
import json
import os
from collections.abc import Mapping

from dmg_tf.errors import UserError

_EXAMPLE = (
    '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
_JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a run, and which of them this process is.

    Attributes:
        addresses: host:port of each worker, in the order of their parts of a
            batch. The first is the chief: it alone writes files.
        names: How error messages of TensorFlow call them, e.g. "worker/1".
        index: This process' place in `addresses`.
    """

    addresses: tuple[str, ...]
    names: tuple[str, ...]
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder."""
        return self.index == 0

    def describe(self, index: int) -> str:
        """Returns what to call a worker, e.g. "worker 1 (host2:2222)"."""
        return f"worker {index} ({self.addresses[index]})"


def read_cluster(environment: Mapping[str, str] | None = None) -> Cluster:
    """Reads TF_CONFIG; without it, the cluster has no workers.

    Args:
        environment: Where to look; None for the process' own variables.

    Raises:
        UserError: If it is no JSON, or does not say which workers there are
            and which of them this process is.
    """
    environment = os.environ if environment is None else environment
    text = environment.get("TF_CONFIG")
    if not text:
        return Cluster((), (), 0)
    try:
        value = json.loads(text)
        jobs, task = value.get("cluster", {}), value.get("task", {})
        addresses = {job: tuple(jobs[job]) for job in jobs}
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(
            f"cannot read TF_CONFIG ({error}), got {text}; expected {_EXAMPLE}"
        ) from error
    if not addresses:
        return Cluster((), (), 0)
    for job in addresses:
        if job not in _JOBS:
            raise UserError(
                f"TF_CONFIG names the job {job!r}; a run has workers only, at "
                f"most one of them called chief, as in {_EXAMPLE}"
            )
    for address in (a for job in _JOBS for a in addresses.get(job, ())):
        host, _, port = str(address).rpartition(":")
        if not host or not port.isdecimal():
            raise UserError(
                f"TF_CONFIG has the address {address!r}; expected HOST:PORT, "
                f"as in {_EXAMPLE}"
            )
    names = tuple(
        f"{job}/{index}"
        for job in _JOBS
        for index in range(len(addresses.get(job, ())))
    )
    own = f"{task.get('type')}/{task.get('index')}"
    if own not in names:
        raise UserError(
            f"TF_CONFIG calls this process {own}, and its cluster has "
            f"{', '.join(names) or 'no workers'}; expected e.g. {_EXAMPLE}"
        )
    return Cluster(
        tuple(a for job in _JOBS for a in addresses.get(job, ())),
        names,
        names.index(own),
    )
