"""Asking a server over HTTP whether it is well."""

import http.client

TIMEOUT = 3.0  # seconds for one answer


def answers_ok(port: int, path: str) -> bool:
    """Tell whether `http://127.0.0.1:port/path` answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
