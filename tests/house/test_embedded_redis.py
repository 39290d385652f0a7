"""The embedded Redis: started by whoever needs the queue, and the queue survives its death."""

from __future__ import annotations

import os
import signal
import stat
from datetime import timedelta

import redis

from config.embedded.daemon import ended
from config.embedded.redis_server import RedisServer
from tests.house.conftest import PATIENCE, House

ENQUEUE = """
import django
django.setup()
import django_rq
queue = django_rq.get_queue()
queue.enqueue("math.sqrt", 4)
print(queue.count)
"""

COUNT = """
import django
django.setup()
import django_rq
print(django_rq.get_queue().count)
"""


def test_whoever_puts_something_into_the_queue_starts_it(house: House) -> None:
    done = house.python(ENQUEUE)  # returns only when nobody holds the pipe of its output any more

    assert done.stdout == "1\n", done.stderr
    pid = house.redis.pid()
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0), "a Ctrl-C in this terminal would reach it"
    assert stat.S_IMODE(house.redis.socket.stat().st_mode) == 0o700


def test_after_kill_9_the_next_look_at_the_queue_starts_it_and_finds_what_was_there(house: House) -> None:
    house.python(ENQUEUE)
    pid = house.redis.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert ended(pid, timedelta(seconds=PATIENCE))

    done = house.python(COUNT)

    assert done.stdout == "1\n", done.stderr


def test_after_stop_and_start_the_queue_is_what_it_was(house: House) -> None:
    house.python(ENQUEUE)

    assert house.redis.stop() is True
    assert house.redis.stop() is False
    assert house.redis.ensure() is True
    assert house.redis.ensure() is False
    assert house.python(COUNT).stdout == "1\n"


def test_a_path_that_is_too_long_gets_a_socket_elsewhere(house: House) -> None:
    server = RedisServer(house.var / ("long, 'odd' path " * 8) / "redis")
    try:
        assert server.ensure()
        client = redis.Redis(unix_socket_path=str(server.socket))
        assert client.ping()
        client.close()
    finally:
        server.stop()
        server.sockets.rmdir()
