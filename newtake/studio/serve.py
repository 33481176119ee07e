"""The page over HTTP: gradio's own, the player, and the files of runs, all behind the door."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import Any

from ..errors import BadInput
from . import Studio, history
from .door import Door
from .uploads import ARRIVING

SHOWN = ("page.css", "player.js", "player.css")


def app(studio: Studio) -> Door:
    """The whole studio, as an ASGI application."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio
    from fastapi import FastAPI
    from gradio import processing_utils, routes
    from gradio.blocks import BlocksConfig

    from .look import look
    from .page import page

    processing_utils.async_ssrf_protected_download = nowhere
    routes.secure_url_stream_response = nowhere         # type: ignore[reportPrivateImportUsage]
    blocks = page(studio)
    BlocksConfig.attach_load_events = nothing           # it walks a table of components that another answer may change
    blocks.has_launched = True                          # mounted alone, gradio reads every file that a browser names
    outer: Any = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.get("/runs/{name}/{file}")(partial(of_run, studio))
    outer.get("/studio/{name}")(asset)
    gradio.mount_gradio_app(outer, blocks, "/", footer_links=[], run_history=False, ssr_mode=False, mcp_server=False,
                            pwa=False, max_file_size=studio.limits.bytes, **look())
    return Door(outer, studio.rules)


def nothing(self: Any, rendered_in: Any = None) -> None:
    """In place of what gradio looks for in settings that are drawn anew: none of them has a value that is made at each load."""


async def nowhere(address: str, *_: Any, **__: Any) -> Any:
    """In place of what gradio fetches for others, and shows as ours: the page asks nobody."""
    from fastapi import HTTPException

    raise HTTPException(403, f"nothing is fetched from {address:.80}; bring the file itself")


def of_run(studio: Studio, name: str, file: str) -> Any:
    """A file of a run, whole or in part: a player asks for parts."""
    from fastapi import HTTPException
    from fastapi.responses import FileResponse

    try:
        past = history.opened(name, studio.places)
    except BadInput as wrong:
        raise HTTPException(404, str(wrong)) from wrong
    offered = {path.name: path for path in past.files}
    if file not in offered:
        raise HTTPException(404, f"there is no such file in {past.name}")
    return FileResponse(offered[file])


def asset(name: str) -> Any:
    from fastapi import HTTPException
    from fastapi.responses import FileResponse

    if name not in SHOWN:
        raise HTTPException(404)
    return FileResponse(Path(__file__).with_name(name))


@contextmanager
def serving(studio: Studio) -> Iterator[Any]:
    """A uvicorn.Server of the studio: it runs until it is interrupted, or `should_exit` is set."""
    import uvicorn

    studio.places.uploads.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=ARRIVING, dir=studio.places.uploads) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder          # where gradio puts files that come, read when a page is made
        server = uvicorn.Server(uvicorn.Config(app(studio), log_level="warning", timeout_graceful_shutdown=1, ws="none"))
        logging.getLogger("uvicorn.error").addFilter(lambda said: not server.should_exit)   # open pages are cut off then
        yield server


def serve(studio: Studio, listening: socket) -> None:
    """Shows the page until it is interrupted."""
    with serving(studio) as server:
        server.run(sockets=[listening])
