"""The end of what goes on in callbacks, to be awaited; a task may take over what must be waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine


class Over(asyncio.Future[None]):
    """Done when it is over; cancel() ends the task, where there is one."""

    _task: asyncio.Task[None] | None = None

    def end(self) -> None:
        """It is over, unless it was already."""
        if not self.done():
            self.set_result(None)

    def go_on(self, serving: Coroutine[None, None, None]) -> None:
        """The rest is for a task: what that comes to is what all has come to."""
        self._task = self.get_loop().create_task(serving)
        self._task.add_done_callback(self._ended)

    def cancel(self, msg: object = None) -> bool:
        """See asyncio.Future."""
        return super().cancel(msg) if self._task is None else self._task.cancel(msg)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.done():
            return
        if task.cancelled():
            super().cancel()
        elif (error := task.exception()) is not None:
            self.set_exception(error)
        else:
            self.set_result(None)
