"""S3 by moto, in a thread: a real server, asked over HTTP."""

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

KEY, SECRET = "AKIATESTSTESTS4711", "s3cr3t/0f+the-tests"
"""What no file that a test writes may hold."""


@dataclass
class BucketServer:
    """A running server with one bucket, ``maps``."""

    url: str
    client: Any
    bucket: str = "maps"

    def put(self, key, content, **given):
        """Write an object; return its ``s3://`` address."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content, **given)
        return f"s3://{self.bucket}/{key}"

    def set_environment(self, monkeypatch, **other):
        """Say with AWS' own variables where the server is and who asks."""
        names = (
            "AWS_PROFILE AWS_SESSION_TOKEN MINIO_ENDPOINT MINIO_ACCESS_KEY MINIO_SECRET_KEY AWS_REGION AWS_CA_BUNDLE "
            "SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE"
        )
        for name in names.split():
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_CONFIG_FILE": "/nowhere",
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
            **other,
        }.items():
            monkeypatch.setenv(name, value)


@contextmanager
def bucket_server():
    """Run it on a free port of this machine."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket="maps")
    try:
        yield BucketServer(url, client)
    finally:
        client.close()
        server.stop()
