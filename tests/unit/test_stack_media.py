import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from provisioner.stack.media import MediaPorts, answers_ping, free_ports, read_mode, read_ports
from provisioner.stack.media import rtpengine as rtpengine_command
from provisioner.stack.ports import is_free, udp
from provisioner.stack.stack import Stack

LOCAL = "127.0.0.1"


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that answers one datagram; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOCAL, 0))

        def serve() -> None:
            _, sender = server.recvfrom(100)
            server.sendto(answer, sender)

        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_setting_that_is_empty_counts_as_not_set() -> None:
    assert read_mode({"MEDIA_PROXY": ""}) == read_mode({}) == "auto"
    assert read_ports({"MEDIA_PORTS": ""}) is read_ports({}) is None
    assert read_ports({"MEDIA_PORTS": "30000-30003"}) == MediaPorts(30_000, 30_003)


def test_rtpengine_gets_the_ports_and_no_kernel_table() -> None:
    command = rtpengine_command("/usr/bin/rtpengine", LOCAL, 12_223, MediaPorts(30_000, 30_099), {})
    assert {"--table=-1", f"--interface={LOCAL}", f"--listen-ng={LOCAL}:12223"} <= set(command.argv)
    assert {"--port-min=30000", "--port-max=30099"} <= set(command.argv)
    assert command.user == "rtpengine"


def test_chosen_ports_are_free_and_begin_with_an_even_one() -> None:
    ports = free_ports(LOCAL)
    assert ports.first % 2 == 0
    assert all(is_free(port, udp(LOCAL)) for port in (ports.first, ports.last))


@pytest.mark.parametrize(("answer", "well"), [(b"1_ d6:result4:ponge", True), (b"1_ de", False)])
def test_rtpengine_is_well_if_it_answers_a_ping(answer: bytes, well: bool) -> None:
    with answering(answer) as port:
        assert answers_ping(port) is well


def test_rtpengine_is_not_well_where_nothing_listens() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((LOCAL, 0))
        port = server.getsockname()[1]
    assert not answers_ping(port)


def test_a_stack_without_a_media_proxy_has_no_process_for_it(tmp_path: Path) -> None:
    stack = Stack(tmp_path, environ={"MEDIA_PROXY": "off"})
    assert stack.media is None
    assert [process.name for process in stack.processes] == [
        "postgres", "kamailio", "provisioner", "worker"
    ]  # fmt: skip


def test_rtpengine_that_is_not_installed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.stack.stack.find_program", lambda: None)
    assert Stack(tmp_path).media is None
