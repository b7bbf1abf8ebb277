"""The server as a whole: uvicorn in a thread, S3 by moto in another."""

import logging
import socket
import threading
import time
from contextlib import contextmanager

import boto3
import uvicorn
from botocore.config import Config
from moto.server import ThreadedMotoServer

from platform_server.api import make_app
from platform_server.faults import Faults, TellingProtocol
from platform_server.models import ENTERED, GATE
from platform_server.work import INPUTS, OUTPUTS, Work

KEY = "k3y-0f-the-tests/4711+XYZ"
"""The only key that the server takes; no file that a test writes may hold it."""

GATED = '[model]\nclass = "gated"\nexecutor_module = "platform_server.models"\nyears = 3\n'
"""The same model as one registers it by TOML."""

REGISTRY = {
    "game_of_life": '[model]\nclass = "game_of_life"\n[model.parameters]\ngenerations = 3\n',
    "coastal_flood": '[model]\nclass = "coastal_flood"\ndescription = "Water over a beach"\n',
    "gated": '[model]\nclass = "gated"\nexecutor_module = "platform_server.models"\nyears = 7\n',
    "broken": '[model]\nclass = "broken"\nexecutor_module = "platform_server.models"\n',
}


class Platform:
    """A running server, and what a test may do behind its back."""

    def __init__(self, url, work, faults, s3_url):
        self.url = url
        self.work = work
        self.faults = faults
        self.s3_url = s3_url

    def wait(self, experiment_id, seconds=30):
        """Return the server's own record of a job once it has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            record = self.work.find(experiment_id)
            if record.status in ("completed", "failed"):
                return record
            time.sleep(0.02)
        raise TimeoutError(experiment_id)

    def reset(self):
        """Forget jobs and faults, for the next test; return itself."""
        GATE.set()
        work = self.work
        work.wait_until_idle()
        self.faults.clear()
        work.records.clear()
        work.installed.clear()
        work.keeps_outputs_local = work.spoils_outputs = work.spoils_records = False
        work.writes_records = True
        work.registry.clear()
        work.registry.update(REGISTRY)
        ENTERED.clear()
        return self


@contextmanager
def running_platform():
    """Run the server on a free port of this machine."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    storage.start()
    host, port = storage.get_host_and_port()
    s3_url = f"http://{host}:{port}"
    names = {"aws_access_key_id": "inpe_admin", "aws_secret_access_key": "inpe_secret", "region_name": "us-east-1"}
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    s3 = boto3.client("s3", endpoint_url=s3_url, config=config, **names)
    for bucket in (INPUTS, OUTPUTS):
        s3.create_bucket(Bucket=bucket)
    work = Work(s3, dict(REGISTRY))
    faults = Faults(make_app(work, KEY))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(faults, log_config=None, http=TellingProtocol, lifespan="off", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Platform(f"http://127.0.0.1:{listening.getsockname()[1]}", work, faults, s3_url)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        work.close()
        s3.close()
        storage.stop()
