"""The yardstick: the least that Flask can do for a JSON answer, under the server and workers that Rapport uses.

python benchmarks/bare.py --port 8901
"""

from __future__ import annotations

import argparse

from flask import Flask
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server

app = Flask(__name__)


@app.get("/")
def hello() -> dict[str, object]:
    return {"id": "0197a1b2-0000-7000-8000-000000000000", "name": "Ada Lovelace", "version": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a bare Flask JSON endpoint.")
    parser.add_argument("--port", type=int, default=8901)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=8, help="in each worker; what `rapport serve` uses")
    options = parser.parse_args()
    Server(
        "benchmarks.bare:app",
        address="127.0.0.1",
        port=options.port,
        interface=Interfaces.WSGI,
        workers=options.workers,
        blocking_threads=options.threads,
        log_level=LogLevels.error,
    ).serve()


if __name__ == "__main__":
    main()
