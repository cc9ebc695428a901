"""The WSGI entry point for servers: `rapport.wsgi:application`, over the site in RAPPORT_HOME."""

from __future__ import annotations

import gc
import os

from rapport.app import LiveApp
from rapport.config import load_config
from rapport.logs import configure
from rapport.worker import Worker

config = load_config(os.environ.get("RAPPORT_HOME", "."))
configure(config)
application = LiveApp(config, safe=os.environ.get("RAPPORT_SAFE") == "1")

# What is there now stays until the end. Rubbish is looked for among what comes later; `rapport serve` had stopped that.
gc.freeze()
gc.enable()

if os.environ.get("RAPPORT_WORKER", "1") == "1":
    Worker(application.current).start()
