"""Servers of data for tests: a web server whose faults are chosen by the path, and S3 by moto.

``web_server()`` and ``bucket_server()`` are contexts; tests/test_fetching.py has fixtures of them to copy.
"""

from data_servers.buckets import BucketServer, bucket_server
from data_servers.web import WebServer, web_server

__all__ = ["BucketServer", "WebServer", "bucket_server", "web_server"]
