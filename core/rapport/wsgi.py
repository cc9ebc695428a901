"""The WSGI entry point for servers: `rapport.wsgi:application`, over the site in RAPPORT_HOME."""

from __future__ import annotations

import os
import threading

from rapport.app import LiveApp
from rapport.config import load_config
from rapport.jobs import Worker

application = LiveApp(load_config(os.environ.get("RAPPORT_HOME", ".")), safe=os.environ.get("RAPPORT_SAFE") == "1")

if os.environ.get("RAPPORT_WORKER", "1") == "1":
    worker = Worker(lambda: application.site)
    threading.Thread(target=worker.run, name="rapport-worker", daemon=True).start()
