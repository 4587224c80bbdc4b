"""What the fuzzer starts from: well-formed messages, and some that are well-formed but rarely seen.

Words in capitals are replaced for each message: REALM, USER, PEER (whose device answers), NOBODY,
HERE (host and port of the sender), VIA (transport), SERIAL (different in each message).
"""

_COMMON = """\
Via: SIP/2.0/VIA HERE;branch=z9hG4bKSERIAL;rport
Max-Forwards: 70
From: <sip:USER@REALM>;tag=SERIAL
To: <sip:TARGET@REALM>
Call-ID: SERIAL@HERE
CSeq: 1 METHOD
User-Agent: Phone/1.0
"""

_SDP = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 40000 RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=sendrecv
"""


def _request(method: str, target: str = "USER", more: str = "", body: str = "") -> str:
    """A request for `target`, without credentials."""
    uri = "sip:REALM" if method == "REGISTER" else f"sip:{target}@REALM"
    common = _COMMON.replace("METHOD", method).replace("TARGET", target)
    length = len(body.replace("\n", "\r\n"))
    return f"{method} {uri} SIP/2.0\n{common}{more}Content-Length: {length}\n\n{body}"


def _invite(target: str, more: str = "") -> str:
    contact = "Contact: <sip:USER@HERE;transport=VIA>\nContent-Type: application/sdp\n"
    return _request("INVITE", target, contact + more, _SDP)


def _answer(status: str, method: str, more: str = "") -> str:
    common = _COMMON.replace("METHOD", method).replace("TARGET", "PEER")
    return f"SIP/2.0 {status}\n{common}{more}Content-Length: 0\n\n"


_ROUTES = "Route: <sip:127.0.0.1;lr;seal=0123456789abcdef>, <sip:carrier.invalid;lr>\n"

USUAL = [
    _request("REGISTER", more="Contact: <sip:USER@HERE;transport=VIA>\nExpires: 300\n"),
    _request("REGISTER", more="Contact: *\nExpires: 0\n"),
    _request("REGISTER", more="Contact: <sip:a@HERE>;q=0.5;expires=60, <sip:b@HERE>;q=0.7\n"),
    _request("REGISTER", more='Contact: "U" <sip:u@HERE;ob>;+sip.instance="<urn:uuid:0>";reg-id=1\n'
             "Supported: path, outbound, gruu\nPath: <sip:127.0.0.9;lr>\n"),
    _invite("PEER"),
    _invite("PEER", "Privacy: id\nP-Asserted-Identity: <sip:+390600000000@REALM>\n"),
    _invite("PEER", "Diversion: <sip:1@x>;reason=unknown;counter=2\nHistory-Info: <sip:1@x>\n"),
    _invite("NOBODY", "Session-Expires: 1800;refresher=uac\nSupported: timer, 100rel, replaces\n"),
    _invite("112"),
    _request("MESSAGE", "PEER", "Content-Type: text/plain\n", "Hello"),
    _request("OPTIONS", "PEER", "Accept: application/sdp\n"),
    _request("SUBSCRIBE", "PEER", "Event: dialog\nExpires: 300\nContact: <sip:USER@HERE>\n"),
    _request("PUBLISH", "USER", "Event: presence\nContent-Type: application/pidf+xml\n", "<p/>"),
    _request("REFER", "PEER", "Refer-To: <sip:NOBODY@REALM?Replaces=a%3Bto-tag%3D1>\n"),
    _request("NOTIFY", "PEER", "Event: refer\nSubscription-State: active;expires=60\n"),
    _request("CANCEL", "PEER"),
    _request("ACK", "PEER", _ROUTES),
    _request("BYE", "PEER", _ROUTES).replace("To: <sip:PEER@REALM>", "To: <sip:PEER@REALM>;tag=b"),
    _request("INFO", "PEER", _ROUTES).replace("@REALM>\nCall", "@REALM>;tag=b\nCall"),
    _answer("100 Trying", "INVITE"),
    _answer("180 Ringing", "INVITE", "Record-Route: <sip:127.0.0.1;lr;seal=0>\nRSeq: 1\n"),
    _answer("200 OK", "INVITE", "Contact: <sip:PEER@HERE>\nRecord-Route: <sip:127.0.0.1;lr>\n"),
    _answer("302 Moved", "INVITE", "Contact: <sip:NOBODY@elsewhere.invalid>\n"),
    _answer("401 Unauthorized", "REGISTER", 'WWW-Authenticate: Digest realm="x", nonce="y"\n'),
    _answer("200 OK", "OPTIONS"),
]  # fmt: skip

# Of the kinds that RFC 4475 calls torture; the texts are our own.
RARE = [
    # Compact names, folding, and white space wherever there may be some.
    "INVITE sip:PEER@REALM SIP/2.0\nv:  SIP / 2.0\n / VIA  HERE\n ;branch=z9hG4bKSERIAL\n"
    "f :\n <sip:USER@REALM>\n ;tag = SERIAL\nt:<sip:PEER@REALM>\ni: SERIAL\nCSEQ:\n  1\n  INVITE\n"
    "mAX-fORWARDS: 0070\nm: <sip:USER@HERE>\n ;q=0.3\nc: application/sdp\nl:\n  0\n\n",
    # Quoted strings with everything in them.
    _request("MESSAGE", "PEER", 'Subject: "\\"<>,;\\\\"\nContent-Type: text/plain;a=";"\n').replace(
        "From: <", 'From: "J \\\\\\"Rosenberg, ; <sip:x@y> ☎" <'
    ),
    # Escapes, and parameters in the user part.
    _invite("PEER;phone-context=%2B39").replace("sip:USER@", "sip:%55SER;x=%00%0d%0a@"),
    # A scheme that nobody knows, a tel URI, an IPv6 reference, a port out of range.
    _request("OPTIONS").replace("OPTIONS sip:USER@REALM", "OPTIONS nobody:knows?this=scheme"),
    _request("MESSAGE").replace("MESSAGE sip:USER@REALM", "MESSAGE tel:+39-06;isub=1;postd=pp22"),
    _request("OPTIONS").replace("sip:USER@REALM SIP", "sips:USER@[2001:db8::9]:5061;lr SIP"),
    _request("OPTIONS").replace("sip:USER@REALM SIP", "sip:USER@REALM:99999 SIP"),
    # Numbers too large for what holds them.
    _request("REGISTER", more="Contact: <sip:USER@HERE>;expires=99999999999999999999;q=9.9999999\n"
             "Expires: 4294967296\n").replace("CSeq: 1", "CSeq: 36893488147419103232"),
    _request("OPTIONS").replace("Max-Forwards: 70", "Max-Forwards: 300"),
    _request("MESSAGE", "PEER").replace("Content-Length: 0", "Content-Length: 9999"),
    _request("MESSAGE", "PEER").replace("Content-Length: 0", "Content-Length: -999"),
    # What must be there once is there twice, or not at all.
    _request("OPTIONS", more="CSeq: 5 INVITE\nFrom: <sip:x@y>;tag=z\nTo: <sip:z@y>\nCall-ID: c\n"),
    _request("INVITE", "PEER").replace("Call-ID: SERIAL@HERE\n", ""),
    _request("OPTIONS").replace("To: <sip:USER@REALM>\n", "To:\n").replace("From: ", "From:  , "),
    # Credentials that cannot be read.
    _request("REGISTER", more='Authorization: Digest username="USER",realm="REALM",nonce="",uri=,'
             'response="0",nc=0,qop=auth-int,algorithm=,cnonce="\n'),
    _request("REGISTER", more='Authorization: NoOneKnowsThisScheme opaque-data=here\n' * 3),
    # Many of what usually is one, and long ones.
    _request("OPTIONS", more="Via: SIP/2.0/VIA HERE;branch=z9hG4bK, SIP/2.0/TCP x;maddr=::\n" * 20),
    _request("MESSAGE", "PEER", "Record-Route: " + ", ".join(["<sip:p.invalid;lr>"] * 40) + "\n"),
    _request("OPTIONS", more="X-Long: " + "long " * 200 + "\n"),
    # Bodies of several parts, and none where one is announced.
    _request("INVITE", "PEER", 'Content-Type: multipart/mixed;boundary="x"\n',
             "--x\nContent-Type: application/sdp\n\n" + _SDP + "--x\n\n\0\1\2\n--x--\n"),
    _request("INVITE", "PEER", "Content-Type: application/sdp\nContent-Length: 400\n"),
    # The Request-URI of an answer, an answer without a reason, a version that is not ours.
    _answer("200 OK", "NOSUCHMETHOD").replace("SIP/2.0 200", "SIP/2.0 4294967296"),
    _answer("486", "INVITE"),
    _request("OPTIONS").replace(" SIP/2.0\nVia", " SIP/7.0\nVia"),
    # Hardly a message at all.
    "\n\n\n\n",
    "OPTIONS\n\n",
    "GET / HTTP/1.1\nHost: REALM\nUpgrade: websocket\n\n",
    _request("REGISTER") + _request("REGISTER", more="Contact: <sip:USER@HERE>\n"),
]  # fmt: skip


def messages() -> list[bytes]:
    """All of them, with the line ends of the wire."""
    return [text.replace("\n", "\r\n").encode() for text in USUAL + RARE]
