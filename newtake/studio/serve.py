"""The page over HTTP: gradio's own, the player, and the files of runs, all behind the door."""

from __future__ import annotations

import logging
import os
from functools import partial
from pathlib import Path
from socket import socket
from typing import Any

from ..errors import BadInput
from . import Studio, history
from .door import Door

SHOWN = ("page.css", "player.js", "player.css")


def app(studio: Studio) -> Door:
    """The whole studio, as an ASGI application."""
    os.environ["GRADIO_TEMP_DIR"] = str(studio.places.uploads / ".arriving")       # read by gradio when it makes a page
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    import gradio
    from fastapi import FastAPI

    from .look import look
    from .page import page

    outer: Any = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.get("/runs/{name}/{file}")(partial(of_run, studio))
    outer.get("/studio/{name}")(asset)
    gradio.mount_gradio_app(outer, page(studio), "/", footer_links=[], run_history=False, ssr_mode=False, mcp_server=False,
                            pwa=False, max_file_size=studio.limits.bytes, **look())
    return Door(outer, studio.rules)


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


def server(studio: Studio) -> Any:
    """A uvicorn.Server of the studio: it runs until it is interrupted, or `should_exit` is set."""
    import uvicorn

    made = uvicorn.Server(uvicorn.Config(app(studio), log_level="warning", timeout_graceful_shutdown=1, ws="none"))
    logging.getLogger("uvicorn.error").addFilter(lambda said: not made.should_exit)     # pages that are open are cut off then
    return made


def serve(studio: Studio, listening: socket) -> None:
    """Shows the page until it is interrupted."""
    server(studio).run(sockets=[listening])
