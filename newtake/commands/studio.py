"""`newtake studio`: a page on this machine."""

from __future__ import annotations

import socket
import webbrowser
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from ..errors import BadInput
from ..options import Captioner, Device, Dtype, Model, Option
from .said import tell

BODY = 1 << 20                                          # bytes that go with a file which is brought


def studio(host: Annotated[str, Option("--host", help="an address of this machine: beyond the loopback a token is needed")]
           = "127.0.0.1",
           port: Annotated[int, Option("--port", min=0, max=65535, help="0: any that is free")] = 7860,
           token: Annotated[str | None, Option("--token", help="that is asked for; by default a new one where one is needed")]
           = None,
           runs: Annotated[Path, Option("--runs", help="where results and uploads go")] = Path("runs"),
           models: Annotated[list[Path], Option("--models", metavar="DIR", help="whose checkpoints may be chosen; may be "
                                                "repeated")] = [],
           adapters: Annotated[list[Path], Option("--adapters", metavar="DIR", help="whose adapters may be chosen; may be "
                                                  "repeated")] = [],
           guests: Annotated[list[Path], Option("--guests", metavar="DIR", help="whose ControlNets and T2I-Adapters may be "
                                                "chosen; may be repeated")] = [],
           model: Model = "tiny", captioner: Captioner = None, device: Device = None, dtype: Dtype = None,
           max_mb: Annotated[int, Option("--max-mb", min=1, help="of one upload")] = 512,
           max_seconds: Annotated[float, Option("--max-seconds", min=0, help="of one upload")] = 120.0,
           browse: Annotated[bool, Option("--open/--no-open", help="the page, in the browser")] = True):
    """Edit clips on a web page.  It stays on this machine, works without a network, and ends with ctrl-C."""
    if find_spec("gradio") is None:
        raise BadInput('the studio is shown with gradio; pip install "newtake[studio]"')
    from ..models.load import chosen_device, located, number
    from ..places import Places
    from ..ready import Way
    from ..studio import Limits, Queue, Studio
    from ..studio.door import rules

    limits = Limits(max_mb << 20, max_seconds)
    who = rules(host, token, limits.bytes + BODY)
    chosen_device(device)                               # what is wrong is told now, and not by the first job
    number(dtype)
    located(model, download=False)
    places = Places(runs.resolve(), tuple(models), tuple(adapters), tuple(guests), model)
    with listening(host, port) as there:
        from ..studio.serve import serve

        address = address_of(host, there, who.token)
        tell(f"newtake studio: {address}")
        if browse:
            webbrowser.open(address)
        with Queue(places, Way(captioner=captioner)) as queue:
            serve(Studio(places, queue, who, limits, device, dtype, captioner), there)


def listening(host: str, port: int) -> socket.socket:
    """BadInput where the address is not of this machine, or somebody listens there already."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        there = socket.socket(family, kind, protocol)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)     # what was closed a moment ago is free
        there.bind(where)
        there.listen(128)
        return there
    except OSError as wrong:
        raise BadInput(f"cannot listen at {host}, port {port}: {wrong.strerror or wrong}; give another --port or --host") \
            from wrong


def address_of(host: str, there: socket.socket, token: str | None) -> str:
    """For people: with the token, and a name that leads here."""
    from ..studio.door import EVERY

    name = socket.gethostname() if host in EVERY else f"[{host}]" if ":" in host else host
    return f"http://{name}:{there.getsockname()[1]}/" + (f"?{urlencode({'token': token})}" if token else "")
