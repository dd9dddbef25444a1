"""Plain HTTPS requests with the standard library: no redirect to an unsafe place, no token to a stranger."""

from __future__ import annotations

import email.message
import http.client
import json
import ssl
from collections.abc import Mapping
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from cnclip.errors import RefusedError
from cnclip.hub.settings import answer_seconds, is_allowed, stall_seconds

_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_JSON_BYTES = 64_000_000
GATED = "its owner gives it to those only who asked for access"


class TransientTrouble(Exception):
    """What another try may mend: a cut, a stall, a server that is busy or sends something else.

    Args:
        reason: one sentence.
        wait_seconds: what the server asked to wait; None where it did not say.
    """

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait_seconds = wait_seconds


class StatusTrouble(Exception):
    """An answer that no other try will change.

    Args:
        status: the HTTP status, such as 404.
        reason: one sentence.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def open_address(
    address: str, headers: Mapping[str, str], *, origin: str, timeout_seconds: float | None = None
) -> http.client.HTTPResponse:
    """Ask for an address and follow its redirects; the answer's status is 200 or 206.

    Args:
        address: what is asked for.
        headers: sent along; Authorization stays with the host that it was meant for.
        origin: the endpoint that the user chose; http is allowed there and on this machine only.
        timeout_seconds: how long nothing may come; None = `stall_seconds()`.

    Raises:
        RefusedError: the address, or one that it leads to, is not https.
        StatusTrouble: 401, 403, 404, 416 and the like.
        TransientTrouble: no connection, a stall, 408, 429, 5xx.
    """
    _check_allowed(address, origin)
    opener = OpenerDirector()
    handlers = (
        ProxyHandler(), HTTPHandler(), HTTPSHandler(context=ssl.create_default_context()), _Redirects(origin),
        HTTPDefaultErrorHandler(), HTTPErrorProcessor(),
    )  # fmt: skip
    for handler in handlers:
        opener.add_handler(handler)
    request = Request(address, headers={"User-Agent": "cnclip", "Accept-Encoding": "identity", **headers})
    try:
        response = opener.open(request, timeout=timeout_seconds or stall_seconds())
    except HTTPError as error:
        with error:
            raise _status_trouble(error) from error
    except URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise StatusTrouble(
                0, f"the certificate is not trusted: {error.reason.verify_message}"
            ) from error
        raise TransientTrouble(_said(error.reason)) from error
    except (OSError, http.client.HTTPException) as error:
        raise TransientTrouble(_said(error)) from error
    assert isinstance(response, http.client.HTTPResponse)
    return response


def read_json(address: str, *, origin: str) -> Any:
    """The JSON value at an address; raises as `open_address`, and TransientTrouble for what is no JSON."""
    with open_address(address, {}, origin=origin, timeout_seconds=answer_seconds()) as response:
        try:
            return json.loads(response.read(_LONGEST_JSON_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise TransientTrouble(_said(error)) from error
        except (ValueError, RecursionError) as error:
            raise TransientTrouble("the server sent something that is no JSON") from error


class _Redirects(HTTPRedirectHandler):
    """Redirects to safe addresses only, and without the token where the host is another one."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> Request | None:
        _check_allowed(newurl, self._origin)
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        if request is not None and (before.scheme, before.netloc) != (after.scheme, after.netloc):
            request.remove_header("Authorization")
        return request


def _check_allowed(address: str, origin: str) -> None:
    if not is_allowed(address, origin):
        raise RefusedError(
            "weights are fetched by https only", where=address, fix="use an endpoint that serves https"
        )


def _status_trouble(error: HTTPError) -> TransientTrouble | StatusTrouble:
    reason = f"the server answered {error.code} {http.client.responses.get(error.code, '')}".rstrip()
    if error.code in _TRANSIENT_STATUSES:
        return TransientTrouble(reason, _retry_after_seconds(error.headers))
    if error.headers.get("X-Error-Code") == "GatedRepo":  # 401 without a token, 403 with one
        return StatusTrouble(403, GATED)
    return StatusTrouble(error.code, reason)


def _retry_after_seconds(headers: email.message.Message) -> float | None:
    value = headers.get("Retry-After", "").strip()
    return float(value) if value.isdigit() and len(value) < 10 else None


def _said(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came for too long"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server closed the connection"
    return str(error) or type(error).__name__
