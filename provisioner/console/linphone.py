"""What Linphone configures itself with: it scans the address of an XML document, and fetches that.

Linphone has no other QR code. Its keys: "Provisioning configuration keys" of liblinphone's manual.
"""

from html import escape

from flask import Response, make_response, render_template, request, url_for

from provisioner import handovers
from provisioner.api.context import database
from provisioner.api.views import CredentialsView
from provisioner.console.visits import Pages
from provisioner.db import Connection
from provisioner.model import Account

pages = Pages("linphone", "/provisioning")

# `transient_provisioning`: Linphone forgets the address, which holds once, when it has succeeded.
_SETTINGS = """\
<?xml version="1.0" encoding="UTF-8"?>
<config xmlns="http://www.linphone.org/xsds/lpconfig.xsd">
<section name="misc">
<entry name="transient_provisioning" overwrite="true">1</entry>
</section>
<section name="sip">
<entry name="default_proxy" overwrite="true">0</entry>
</section>
<section name="auth_info_0" overwrite="true">
<entry name="username" overwrite="true">{username}</entry>
<entry name="userid" overwrite="true">{username}</entry>
<entry name="passwd" overwrite="true">{password}</entry>
<entry name="realm" overwrite="true">{realm}</entry>
<entry name="domain" overwrite="true">{realm}</entry>
</section>
<section name="proxy_0" overwrite="true">
<entry name="reg_identity" overwrite="true">sip:{username}@{realm}</entry>
<entry name="reg_proxy" overwrite="true">{server}</entry>
<entry name="reg_route" overwrite="true">{server}</entry>
<entry name="reg_expires" overwrite="true">600</entry>
<entry name="reg_sendregister" overwrite="true">1</entry>
<entry name="publish" overwrite="true">0</entry>
</section>
</config>
"""


def offer(connection: Connection, account: Account, credentials: CredentialsView) -> str:
    """Return an address from which Linphone fetches the credentials, once and soon."""
    token = handovers.offer(connection, account.id, _settings(credentials))
    return url_for("console.linphone.hand_over", token=token, _external=True)


@pages.open("GET", "")
def hand_over() -> Response:
    """Give a phone its settings, once. A browser is told what to do with the address instead.

    The token is no part of the path, which is logged.
    """
    if request.method == "HEAD" or _is_browser():
        return make_response(render_template("accounts/handover.html"))
    with database().transaction() as connection:
        found = handovers.take(connection, request.args.get("token", ""))
    if found is None:
        return Response("These settings were fetched already, or too late.\n", 404)
    return Response(found, mimetype="application/xml")


def _is_browser() -> bool:
    """Say whether the client asks for pages by name; a phone takes anything."""
    return "text/html" in request.headers.get("Accept", "")


def _settings(credentials: CredentialsView) -> str:
    transport = credentials.transports[0]
    server = f"<sip:{credentials.server}:{credentials.port};transport={transport}>"
    return _SETTINGS.format(
        username=escape(credentials.username),
        password=escape(credentials.password),
        realm=escape(credentials.realm),
        server=escape(server),
    )
