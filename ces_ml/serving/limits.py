"""A limit on the size of a body, checked while it comes in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ces_ml.serving.bodies import Failure

__all__ = ["BodyLimit"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class BodyLimit:
    """ASGI middleware that answers 413 to a body of more than `most` bytes.

    The stated length is looked at first; a body without one is cut off when it passes the limit.

    Parameters
    ----------
    app : ASGI application
    most : int
        In bytes.
    """

    def __init__(self, app: App, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if stated.isdigit() and int(stated) > self.most:
            await self._refuse(send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > self.most:
                await self._refuse(send)
                return
            if message["type"] != "http.request" or not message.get("more_body", False):
                break
        whole: list[Message] = [{**message, "body": body} if "body" in message else message]

        async def received() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, received, send)

    async def _refuse(self, send: Send) -> None:
        failure = Failure.of(
            "the body is too large",
            allowed=f"at most {self.most:,} bytes",
            next="send fewer rows at a time, or start the scorer with a larger --max-body",
        )
        headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": failure.text().encode()})
