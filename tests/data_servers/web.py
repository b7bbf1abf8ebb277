"""A web server whose first path segment says what goes wrong: ``/cut/x.tif``, ``/login/x.tif``, ``/plain/x.tif``.

Several faults can be joined: ``/cut+noranges/x.tif``. Files are put in by ``server.put("x.tif", content)``.
"""

import base64
import hashlib
import re
import threading
import time
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

USER, PASSWORD = "ana", "pa55-w0rd"
PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"
PIECE = 64 * 1024


class WebServer(ThreadingHTTPServer):
    """A running server; ``asked`` holds (method, path, headers) of every request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, tls=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.scheme = "http"
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        self.files = {}
        self.asked = []
        self.cuts = {}
        """How many more answers for a path are cut."""
        self.slowness = 0.0
        """Seconds before each piece, with the fault ``slow``."""
        self.other = ""
        """Where the fault ``redirect-away`` leads."""
        self.is_stopping = False

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"

    def put(self, name, content):
        self.files[name] = (content, time.time())

    def at(self, name, fault="plain", login=""):
        """Return the address of a file behind a fault."""
        return f"{self.scheme}://{login}127.0.0.1:{self.server_address[1]}/{fault}/{name}"

    def ranges(self):
        """Return the Range headers of the requests, None for those without."""
        return [headers.get("Range") for _, _, headers in self.asked]

    def handle_error(self, request, client_address):
        """Say nothing: clients that cancel are wanted here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._serve(with_body=False)

    def do_GET(self):
        self._serve(with_body=True)

    def _serve(self, *, with_body):
        server = self.server
        parts = urlsplit(self.path)
        server.asked.append((self.command, self.path, dict(self.headers)))
        fault, _, name = parts.path.lstrip("/").partition("/")
        faults, name = set(fault.split("+")), unquote(name)
        number = next((int(word) for word in faults if word.isdigit()), 0)
        if number:
            headers = {"Retry-After": "0"} if number in (429, 503) else {}
            return self._say(number, b"no", headers)
        if "login" in faults and self.headers.get("Authorization") != _basic(USER, PASSWORD):
            return self._say(401, b"who?", {"WWW-Authenticate": 'Basic realm="x"'})
        if "signed" in faults and parse_qs(parts.query).get("X-Amz-Signature") != ["5igned"]:
            return self._say(403, b"<Error/>")
        if "html" in faults:
            return self._say(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
        if "hiddenhtml" in faults:
            return self._say(200, PAGE, {"Content-Type": "image/tiff"})
        for word in faults:
            if word.startswith("redirect"):
                return self._redirect(word, faults, name, parts.query)
        if name not in server.files:
            return self._say(404, b"no such file")
        return self._file(faults, name, with_body=with_body)

    def _redirect(self, word, faults, name, query):
        rest = "+".join(faults - {word}) or "plain"
        target = {
            "redirect": f"/{rest}/{name}",
            "redirect-loop": self.path,
            "redirect-file": "file:///etc/passwd",
            "redirect-ftp": "ftp://127.0.0.1/x.tif",
            "redirect-nowhere": "",
            "redirect-away": f"{self.server.other}/{rest}/{name}",
        }[word]
        return self._say(302, b"", {"Location": target + (f"?{query}" if query else "")} if target else {})

    def _file(self, faults, name, *, with_body):  # noqa: C901 -- one fault after another
        content, moment = self.server.files[name]
        headers = {"Content-Type": "application/octet-stream"}
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if "changing" in faults:  # another ETag with every answer
            etag = f'"{len(self.server.asked)}"'
        if "noetag" not in faults:
            headers["ETag"] = f"W/{etag}" if "weak" in faults else etag
        if "nomodified" not in faults:
            headers["Last-Modified"] = formatdate(moment, usegmt=True)
        if "named" in faults:
            headers["Content-Disposition"] = "attachment; filename*=UTF-8''..%2F..%2Fevil%2Fmapa%20%C3%A7.tif"
        if "gzip" in faults:
            import gzip

            return self._say(200, gzip.compress(content), {**headers, "Content-Encoding": "gzip"})
        if "noetag" not in faults and self.headers.get("If-None-Match") == headers["ETag"]:
            return self._say(304, b"", headers)
        since = self.headers.get("If-Modified-Since")
        if since and since == headers.get("Last-Modified") and not self.headers.get("If-None-Match"):
            return self._say(304, b"", headers)
        status, start = 200, 0
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        still = condition is None or condition in (headers.get("ETag"), headers.get("Last-Modified"))
        if wanted and still and "noranges" not in faults:
            status, start = 206, int(wanted[1])
            end = min(int(wanted[2]), len(content) - 1) if wanted[2] else len(content) - 1
            if start >= len(content):
                return self._say(416, b"", headers)
            first = start + 7 if "wrongranges" in faults else start
            headers["Content-Range"] = f"bytes {first}-{end}/{len(content)}"
            body = content[start : end + 1]
        else:
            body = content
        if "noranges" not in faults:
            headers["Accept-Ranges"] = "bytes"
        return self._send(status, body, headers, faults, name, with_body=with_body)

    def _send(self, status, body, headers, faults, name, *, with_body):
        server = self.server
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        is_cut = "cut" in faults and server.cuts.get(name, 0) > 0
        if is_cut:
            server.cuts[name] -= 1
        if "nolength" in faults:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body) + (5000 if "liar" in faults else 0)))
        self.end_headers()
        if not with_body:
            return
        stop = len(body) // 2 if is_cut or "silent" in faults else len(body)
        for at in range(0, stop, PIECE):
            if "slow" in faults:
                time.sleep(server.slowness)
            self.wfile.write(body[at : min(at + PIECE, stop)])
        self.wfile.flush()
        if "silent" in faults:
            end = time.monotonic() + 20
            while time.monotonic() < end and not server.is_stopping:
                time.sleep(0.02)
        if is_cut or "liar" in faults or "silent" in faults:
            self.close_connection = True

    def _say(self, status, body, headers=None):
        self.send_response(status)
        for key, value in {"Content-Type": "text/plain", **(headers or {})}.items():
            self.send_header(key, value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 304:
            self.wfile.write(body)


def _basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def web_server(tls=None):
    """Run it on a free port of this machine; ``tls`` is an ssl.SSLContext with its certificate."""
    server = WebServer(tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.is_stopping = True
        server.shutdown()
        thread.join(5)
        server.server_close()
