"""What is done with an input, as a person does it; anything but a picture or a clear refusal is a fault."""

from __future__ import annotations

import json
import random
import shutil
import threading
import warnings
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import LabError
from fuzz.mutations import mutate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fuzz.seeds import Seed

#: A message of fewer words tells nobody what to do.
FEWEST_WORDS = 6
#: Texts: they are given as they are, so that there is no file to name.
TEXTS = ("toml", "stac answer", "address")


def prepared(seed: Seed, number: int, run: int, folder: Path) -> Path:
    """Write a damaged variant of a sound input; number and run say which one."""
    chance = random.Random(f"{run} {seed.kind} {number}")
    shutil.rmtree(folder, ignore_errors=True)
    names = sorted(seed.files)
    main = seed.named if seed.named in seed.files else chance.choice(names)
    bad = {main} if chance.random() < 0.6 else {chance.choice(names)}
    if chance.random() < 0.1:
        bad.add(chance.choice(names))
    gone = chance.choice(names) if len(names) > 1 and chance.random() < 0.05 else None
    folder.mkdir(parents=True)
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != gone:
            path.write_bytes(mutate(seed.files[name], chance) if name in bad else seed.files[name])
    return folder / seed.named


def outcome(kind: str, path: Path) -> tuple[str, str]:
    """Open a damaged input: ``picture``, ``refused`` with its message, or ``wrong`` with what should not be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            use(kind)(path)
    except LabError as error:
        message = str(error)
        is_named = path.name in message or kind.startswith(TEXTS) or not path.exists()
        if len(message.split()) < FEWEST_WORDS or not is_named or message[-1:] not in ".?":
            return "wrong", f"unclear message: {message}"
        return "refused", message
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {error} {_where(error)}"
    return "picture", ""


def _where(error: BaseException) -> str:
    """The last line of our own code that the error went through."""
    trace, found = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "dissmodel_lab" in file:
            found = f"[{Path(file).name}:{trace.tb_lineno}]"
        trace = trace.tb_next
    return found


def use(kind: str) -> Callable[[Path], Any]:
    """Return what a person does with an input of a kind."""
    if kind.startswith("toml"):
        return _toml
    if kind.startswith("style"):
        return _style
    if kind == "stac answer":
        return _stac
    return _address if kind == "address" else _map


def _map(path: Path) -> None:
    from dissmodel_lab.maps import preview
    from dissmodel_lab.preflight.datasets import look_at

    preview(str(path), max_pixels=64)
    if path.exists():
        look_at(path, path.name)


def _toml(path: Path) -> None:
    from dissmodel_lab.parameters import ModelSpec

    ModelSpec.from_text(path.read_bytes().decode("utf-8", "replace"))


def _style(path: Path) -> None:
    from dissmodel_lab.maps.styles import read_style

    read_style(path)


def _address(path: Path) -> None:
    from dissmodel_lab.sources.addresses import parse

    parse(path.read_bytes().decode("utf-8", "replace"))


def _stac(path: Path) -> None:
    from dissmodel_lab.sources.stac import pieces_of
    from dissmodel_lab.sources.stac_query import parse_query
    from dissmodel_lab.sources.stac_search import search

    with _server(path.read_bytes()) as address:
        query = parse_query(f"stac+{address}?collection=CB4-16D-2&bands=NDVI")
        for item in search(query).items:
            pieces_of(item, query)


@contextmanager
def _server(answer: bytes) -> Iterator[str]:
    """A STAC API whose search answers with these bytes, whatever is asked."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(answer if "search" in self.path else self._catalogue())

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._send(answer)

        def _catalogue(self) -> bytes:
            here = f"http://127.0.0.1:{self.server.server_address[1]}"
            links = [{"rel": rel, "href": here + path, "type": "application/json"} for rel, path in LINKS]
            conforms = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "item-search", "collections")]
            if "collections" in self.path:
                return json.dumps(
                    COLLECTION if self.path.count("/") > 1 else {"collections": [COLLECTION], "links": []}
                ).encode()
            return json.dumps({
                "type": "Catalog", "id": "c", "stac_version": "1.0.0", "description": "d", "links": links,
                "conformsTo": conforms,
            }).encode()  # fmt: skip

        def _send(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()


LINKS = (("self", "/"), ("root", "/"), ("search", "/search"), ("data", "/collections"))
COLLECTION = {
    "type": "Collection", "id": "CB4-16D-2", "stac_version": "1.0.0", "description": "d", "license": "x", "links": [],
    "extent": {"spatial": {"bbox": [[-50, -10, -49, -9]]},
               "temporal": {"interval": [["2020-01-01T00:00:00Z", None]]}},
}  # fmt: skip
