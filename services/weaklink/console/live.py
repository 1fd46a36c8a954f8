"""Live updates as server-sent events: that something has changed, and no more. The page then asks for itself again, by its own right."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

_BEAT_SECONDS: Final = 15.0
STREAMS_MAX: Final = 200


class Changes:
    """Numbers what pages show: cases, ledger, lag. One task looks, every stream waits for it."""

    def __init__(self) -> None:
        self.version = 0
        self.streams = 0
        self.stopping = False
        self._seen: tuple[object, ...] = ()
        self._changed = asyncio.Event()

    def saw(self, *now: object) -> None:
        """Take in what there is now."""
        if now != self._seen:
            self._seen = now
            self.version += 1
            self._changed.set()
            self._changed = asyncio.Event()

    def stop(self) -> None:
        """End every stream."""
        self.stopping = True
        self._changed.set()

    async def wait(self, seconds: float) -> None:
        """Until something changes, or so long."""
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            return


async def events(request: Request) -> Response:
    """The stream. Ends with the session, which is looked at at every beat, and not kept alive by that."""
    changes: Changes = request.app.state.changes
    if changes.streams >= STREAMS_MAX:
        return Response("too many streams", 503)
    token = request.cookies["weaklink_session"]
    return StreamingResponse(_stream(request, changes, token), media_type="text/event-stream")


async def _stream(request: Request, changes: Changes, token: str) -> AsyncIterator[str]:
    changes.streams += 1
    told = -1
    try:
        while not changes.stopping and await request.app.state.users.session(token, touch=False) is not None:
            if changes.version != told:
                told = changes.version
                yield f"event: changed\ndata: {told}\n\n"
            else:
                yield ": still here\n\n"
            await changes.wait(_BEAT_SECONDS)
            await asyncio.sleep(0.5)  # what changes many times a second is told twice a second
    finally:
        changes.streams -= 1
