"""Real SIP clients for the SIP tests, all of them driven in one way.

Four phones, `PHONES`, for tests that must hold for any device:

    with phone(registrar, credentials, "127.0.20.1") as device:
        assert device.register().outcome == (403, "Account Disabled")

`Carrier` and `CarrierCall` for a trunk, both SIPp; `TlsPeer` for one over TLS. `Endpoint` makes
and takes calls message by message, `Crowd` many at once; `Fleet` are phones that know several
servers; `Wire` sends exact bytes; `svwar` and `svcrack` are attackers. Conventions:

- An answer that came is a value (`Registration`), whatever it says; no answer is the value with
  status `NO_ANSWER`. What is an exception (`ClientError`) is a program that is missing, breaks,
  or does not do what a `wait_...` waited for.
- Every wait has a deadline in seconds; none is longer because a machine is fast.
- A port is taken anew for each phone, from what is free on its source address.
- Passwords reach programs in files of mode 0600, but for sipsak, which takes them as arguments.
"""

from .baresip import Baresip
from .call import Call, IncomingCall, OutgoingCall
from .carrier import Carrier, CarrierCall
from .certificates import Authority, Certificate
from .crowd import Crowd
from .endpoint import Endpoint
from .fleet import Fleet, RovingPhone, Tally
from .linphone import Linphone
from .message import Message, final_answer, messages_in
from .model import (
    NO_ANSWER,
    ClientError,
    Credentials,
    Registrar,
    Registration,
    Transport,
)
from .phone import Phone
from .process import free_port
from .sipp import Sipp
from .sipsak import Sipsak
from .sipvicious import Cracking, Enumeration, svcrack, svwar
from .softphone import Softphone, page_of
from .tls_peer import TlsPeer, uri_in, within_dialog
from .wire import (
    Exchange,
    Wire,
    as_new_transaction,
    digest_authorization,
    digest_parameters,
)

PHONES: tuple[type[Phone], ...] = (Sipp, Baresip, Linphone, Sipsak)

__all__ = [
    "NO_ANSWER",
    "PHONES",
    "Authority",
    "Baresip",
    "Call",
    "Carrier",
    "CarrierCall",
    "Certificate",
    "ClientError",
    "Cracking",
    "Credentials",
    "Crowd",
    "Endpoint",
    "Enumeration",
    "Exchange",
    "Fleet",
    "IncomingCall",
    "Linphone",
    "Message",
    "OutgoingCall",
    "Phone",
    "Registrar",
    "Registration",
    "RovingPhone",
    "Sipp",
    "Sipsak",
    "Softphone",
    "Tally",
    "TlsPeer",
    "Transport",
    "Wire",
    "as_new_transaction",
    "digest_authorization",
    "digest_parameters",
    "final_answer",
    "free_port",
    "messages_in",
    "page_of",
    "svcrack",
    "svwar",
    "uri_in",
    "within_dialog",
]
