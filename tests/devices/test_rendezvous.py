"""Workers of one cluster, as threads of this process."""

import concurrent.futures
import dataclasses
import socket
import threading
import time

import pytest

from dmg_tf.devices.cluster import read_cluster
from dmg_tf.devices.rendezvous import meet
from dmg_tf.errors import UserError
from tests.devices.workers import cluster


def workers(count):
    return [read_cluster({"TF_CONFIG": config}) for config in cluster(count)]


def test_all_go_on_once_all_are_there():
    chief, first, second = workers(3)
    met = []
    with concurrent.futures.ThreadPoolExecutor() as pool:

        def wait(worker):
            meet(worker, 20)
            met.append(worker.index)

        early = [pool.submit(wait, worker) for worker in (first, chief)]
        time.sleep(0.5)
        assert met == []
        late = pool.submit(wait, second)
        for each in (*early, late):
            each.result(20)
    assert sorted(met) == [0, 1, 2]


def test_one_worker_waits_for_none():
    (alone,) = workers(1)
    meet(alone, 0)


def test_the_missing_are_named():
    chief, first, second = workers(3)
    thread = threading.Thread(
        target=lambda: pytest.raises(UserError, meet, second, 1)
    )
    thread.start()
    with pytest.raises(UserError) as error:
        meet(chief, 1)
    thread.join(20)
    assert first.describe(1) in str(error.value)
    assert second.describe(2) not in str(error.value)


def test_a_missing_chief_is_named():
    _, worker = workers(2)
    with pytest.raises(UserError, match="the chief, worker 0 .127.0.0.1"):
        meet(worker, 0.6)


def test_strangers_are_ignored():
    chief, worker = workers(2)
    port = int(chief.addresses[0].split(":")[1])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(meet, chief, 20)
        time.sleep(0.2)
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n")
        meet(worker, 20)
        waiting.result(20)


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        chief, _ = workers(2)
        chief = dataclasses.replace(chief, addresses=(address, "b:1"))
        with pytest.raises(UserError, match="cannot listen at port"):
            meet(chief, 5)
