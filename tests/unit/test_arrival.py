"""When a request has come, byte by byte."""

import pytest

from provisioner.arrival import HEAD_MAX, WHOLE_MAX, Arrival

HEAD = b"POST /x HTTP/1.1\r\nHost: x\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def sized(length: int) -> bytes:
    return HEAD + b"content-length:%d\r\n\r\n" % length


@pytest.mark.parametrize(
    "request_",
    [
        HEAD + b"\r\n",
        sized(0),
        sized(5) + b"12345",
        CHUNKED + b"0\r\n\r\n",
        CHUNKED + b"5\r\n12345\r\n0\r\n\r\n",
        CHUNKED + b"5;name=value\r\n0\r\n\r\n\r\n1\r\nA\r\n2\r\n12\r\n0\r\n\r\n",
        CHUNKED + b"1\r\nx\r\n0\r\nTrailer: yes\r\nOther: no\r\n\r\n",
    ],
)
def test_a_request_is_complete_with_its_last_byte(request_: bytes) -> None:
    arrival = Arrival()
    for i, byte in enumerate(request_):
        assert not arrival.complete, request_[:i]
        arrival.add(bytes([byte]))
    assert arrival.complete
    assert not arrival.surplus
    assert arrival.request == request_


def test_all_at_once_is_the_same_as_byte_by_byte() -> None:
    assert Arrival(CHUNKED + b"5\r\n12345\r\n0\r\n\r\n").complete


def test_blank_lines_before_a_request_count_for_nothing() -> None:
    assert not Arrival(b"\r\n\r\n").complete
    assert Arrival(b"\r\n\r\n" + HEAD + b"\r\n").request == HEAD + b"\r\n"


@pytest.mark.parametrize("whole", [sized(5) + b"12345", CHUNKED + b"1\r\nx\r\n0\r\n\r\n"])
def test_what_follows_is_not_part_of_it(whole: bytes) -> None:
    arrival = Arrival(whole + b"GET /")
    assert arrival.surplus
    assert arrival.request == whole


def test_a_long_body_is_read_by_a_thread() -> None:
    assert Arrival(sized(WHOLE_MAX + 1)).complete
    assert not Arrival(sized(WHOLE_MAX)).complete
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    assert not Arrival(CHUNKED + chunk * 15).complete
    assert Arrival(CHUNKED + chunk * 17).complete


@pytest.mark.parametrize("wrong", [b"zz\r\n", b"\r\n", b"-1\r\n", b"1" * 200, b"5\n12345"])
def test_what_is_no_chunk_is_for_the_parser_to_refuse(wrong: bytes) -> None:
    assert Arrival(CHUNKED + wrong).complete


@pytest.mark.parametrize("length", [b"-1", b"5, 5", b"0x5", b"", b"9" * 13])
def test_what_is_no_length_is_for_the_parser_to_refuse(length: bytes) -> None:
    assert Arrival(HEAD + b"Content-Length: " + length + b"\r\n\r\n").complete


def test_a_head_without_end_is_too_long() -> None:
    assert not Arrival(HEAD + b"X: " + b"y" * (HEAD_MAX - 100)).too_long
    assert Arrival(HEAD + b"X: " + b"y" * HEAD_MAX).too_long


def test_a_client_that_waits_for_a_word_is_known() -> None:
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    assert Arrival(head).hesitates
    assert not Arrival(head + b"{}").hesitates
    assert not Arrival(sized(2)).hesitates
