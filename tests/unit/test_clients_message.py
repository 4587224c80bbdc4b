"""What the SIP clients' drivers read out of their programs' output."""

import pytest

from tests.sip.clients import (
    Credentials,
    Message,
    as_new_transaction,
    digest_authorization,
    digest_parameters,
    final_answer,
    messages_in,
)
from tests.sip.clients.baresip import outcome_in
from tests.sip.clients.sipvicious import found_in

CHALLENGE = """\
SIP/2.0 401 Unauthorized
Via: SIP/2.0/UDP 127.0.20.1:40000;branch=z9hG4bK1;rport=40000;received=127.0.20.1
CSeq: 1 REGISTER
WWW-Authenticate: Digest realm="talkytime.test", nonce="a+b/c=", qop="auth"
Content-Length: 0

"""
SECOND_REQUEST = "REGISTER sip:talkytime.test SIP/2.0\nCSeq: 2 REGISTER\nContent-Length: 0\n\n"
REFUSAL = """\
SIP/2.0 403 Account Disabled
v: SIP/2.0/UDP 192.168.77.2:5060;branch=z9hG4bK2;received=198.19.0.3;rport=41000
CSeq: 2 REGISTER
Content-Length: 0

"""


def test_a_response_shows_its_status_reason_and_headers() -> None:
    message = Message.parse(CHALLENGE.replace("\n", "\r\n"))
    assert (message.status, message.reason) == (401, "Unauthorized")
    assert message.cseq == (1, "REGISTER")
    assert message.header("content-LENGTH") == "0"
    assert message.header("Contact") is None


def test_a_request_has_no_status() -> None:
    message = Message.parse(SECOND_REQUEST)
    assert (message.is_response, message.status, message.reason) == (False, 0, "")


def test_what_is_no_sip_message_is_refused() -> None:
    with pytest.raises(ValueError, match="not a SIP message"):
        Message.parse("HTTP/1.1 200 OK\r\n\r\n")


def test_the_top_via_tells_where_a_request_was_seen_to_come_from() -> None:
    assert Message.parse(CHALLENGE).seen_from == ("127.0.20.1", 40000)
    assert Message.parse(REFUSAL).seen_from == ("198.19.0.3", 41000)
    without_received = REFUSAL.replace("received=198.19.0.3;", "")
    assert Message.parse(without_received).seen_from == ("192.168.77.2", 41000)
    assert Message.parse(SECOND_REQUEST).seen_from is None


def test_messages_are_found_among_other_lines_of_a_log() -> None:
    log = f"sent to 127.0.0.1\n{CHALLENGE}ready.\n{SECOND_REQUEST}--- 2026\n{REFUSAL}"
    assert [message.status for message in messages_in(log)] == [401, 0, 403]
    assert messages_in("nothing was sent") == []


def test_the_final_answer_is_the_one_to_the_last_request_wherever_it_stands() -> None:
    in_order = final_answer(CHALLENGE + SECOND_REQUEST + REFUSAL)
    errors_first = final_answer(REFUSAL + CHALLENGE + SECOND_REQUEST)
    assert in_order == errors_first
    assert in_order is not None
    assert in_order.reason == "Account Disabled"


def test_a_challenge_is_not_final_while_its_answer_is_unanswered() -> None:
    assert final_answer(CHALLENGE + SECOND_REQUEST) is None
    assert final_answer("SIP/2.0 100 Trying\nCSeq: 1 REGISTER\n\n") is None


def test_a_digest_with_qop_is_the_one_of_rfc_2617() -> None:
    """The example of RFC 2617, section 3.5."""
    challenge = digest_parameters(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", '
        'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
    )
    value = digest_authorization(
        Credentials("Mufasa", "Circle Of Life", "testrealm@host.com"),
        challenge,
        method="GET",
        uri="/dir/index.html",
        client_nonce="0a4f113b",
    )
    shown = digest_parameters(value)
    assert shown["response"] == "6629fae49393a05397450978507c4ef1"
    assert (shown["qop"], shown["nc"]) == ("auth", "00000001")


def test_a_challenge_without_qop_is_answered_without_a_count() -> None:
    challenge = {"realm": "r", "nonce": "n"}
    value = digest_authorization(
        Credentials("u", "p", "r"), challenge, method="REGISTER", uri="sip:r"
    )
    assert "nc" not in digest_parameters(value)


def test_a_new_transaction_differs_in_its_first_branch_only() -> None:
    request = b"REGISTER sip:r SIP/2.0\r\nVia: a;branch=z9hG4bKx;rport\r\nVia: b;branch=y\r\n\r\n"
    again = as_new_transaction(request)
    assert b"z9hG4bKx" not in again
    assert again.endswith(b";rport\r\nVia: b;branch=y\r\n\r\n")


@pytest.mark.parametrize("version", ["", " (prio 0)"], ids=["1.0", "1.1"])
def test_baresips_refusals_and_failures_are_understood(version: str) -> None:
    said = f"reg: sip:39061@talkytime.test{version}: 403 Account Disabled (provisioner)\n"
    outcome = outcome_in(CHALLENGE + SECOND_REQUEST + REFUSAL + said)
    assert outcome is not None
    answer, why = outcome
    assert answer is not None
    assert answer.status == 403
    assert why == "403 Account Disabled (provisioner)"

    silence = f"reg: sip:39061@talkytime.test{version}: Register: Connection timed out\n"
    assert outcome_in(SECOND_REQUEST + silence) == (None, "Register: Connection timed out")


def test_baresip_is_not_done_while_it_only_was_challenged() -> None:
    assert outcome_in(CHALLENGE + SECOND_REQUEST) is None


def test_an_acceptance_needs_no_line_of_baresips_own() -> None:
    outcome = outcome_in(REFUSAL.replace("403 Account Disabled", "200 OK"))
    assert outcome is not None
    assert outcome[0] is not None
    assert outcome[0].status == 200


def test_sipvicious_table_is_read_without_its_heading() -> None:
    table = """\
+-----------+----------+
| Extension | Password |
+===========+==========+
| 1003      | a b 7350 |
+-----------+----------+
"""
    assert found_in(table) == [("1003", "a b 7350")]
    assert found_in("WARNING:root:found nothing") == []


def test_a_message_that_is_still_being_written_is_no_message_yet() -> None:
    half = CHALLENGE[: CHALLENGE.index("Content-Length")]
    assert messages_in(half) == []
    assert messages_in(REFUSAL + half) == messages_in(REFUSAL)
    assert outcome_in("reg: sip:39061@talkytime.test: 403 Acc") is None
