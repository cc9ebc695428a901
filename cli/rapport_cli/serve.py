"""Serving a site to browsers, and working off its events and jobs."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
import time
from types import FrameType
from typing import TYPE_CHECKING

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, note, say

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.site import Site

STOP_SECONDS = 10
"""How long requests under way may take to end when the server is stopped."""
LOOK_SECONDS = 1.0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0: also from other machines.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option("--threads", default=4, show_default=True, type=click.IntRange(1, 64), help="Threads in each process.")
@click.option("--no-worker", is_flag=True, help="Leave events and jobs to `rapport worker`.")
@click.option("--safe", is_flag=True, help="Leave every plugin out.")
@click.pass_obj
def serve(place: Place, *, host: str, port: int, workers: int, threads: int, no_worker: bool, safe: bool) -> None:
    """Serve the site until Ctrl+C."""
    config = place.config()
    run_server(config, host, port, workers=workers, threads=threads, jobs=not no_worker, safe=safe or place.safe)


def run_server(
    config: Config, host: str, port: int, *, workers: int = 1, threads: int = 4, jobs: bool = True, safe: bool = False
) -> None:
    """Serve until told to stop. What is wrong with the site is said here, in one line, before any process starts."""
    # What is made at the start stays: looking for rubbish in it took a third of the time. `rapport.wsgi` begins again.
    gc.disable()
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server.mp import MPServer

    import rapport.app  # noqa: F401 - for the serving processes: they are forked from this one and share its code
    from rapport.metrics import counted_together
    from rapport.site import Site

    refuse_taken_port(host, port)
    site = Site.open(config, safe=safe)  # for its errors
    _tell_troubles(site)
    site.close()
    os.environ["RAPPORT_HOME"] = str(config.home)
    os.environ["RAPPORT_SAFE"] = "1" if safe else "0"
    os.environ["RAPPORT_WORKER"] = "1" if jobs else "0"
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only compared
    say(f"Rapport serves {config.home} at http://{shown}:{port}  (Ctrl+C stops it)")

    class Stoppable(MPServer):
        """The server as it is, but that no signal makes it wait for itself."""

        def signal_handler_interrupt(self, *_: object, **__: object) -> None:
            # Its loop, or this handler for an earlier signal, may hold the event's lock: so another thread sets it.
            if not self.interrupt_signal:
                self.interrupt_signal = True
                threading.Thread(target=self.main_loop_interrupt.set, daemon=True).start()

    server = Stoppable(
        "rapport.wsgi:application",
        address=host,
        port=port,
        interface=Interfaces.WSGI,
        workers=workers,
        blocking_threads=threads,
        workers_kill_timeout=STOP_SECONDS,
        respawn_failed_workers=True,  # a plugin may end a process, by os._exit() or a crash: another takes its place
        log_level=LogLevels.error,
        websockets=False,
    )
    with counted_together(config):
        server.serve()


def refuse_taken_port(host: str, port: int) -> None:
    """Refusal when another program listens there: the server itself would say it in a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Refusal(
                f"Port {port} on {host} cannot be used: {error.strerror}. Choose another: --port {port + 1}"
            ) from None


def _tell_troubles(site: Site) -> None:
    """Plugins that should run and do not; the site serves without them."""
    from rapport.plugins import State

    for plugin in site.plugins.values():
        if plugin.enabled and plugin.state is not State.ACTIVE:
            note(f"{plugin.name} is {plugin.state}: {plugin.reason}. {plugin.remedy}")
        for bridge in plugin.troubled_bridges:
            note(f"{plugin.name} with {bridge.other} is left out: {bridge.reason}. {bridge.remedy}")


@click.command()
@click.option("--threads", default=4, show_default=True, type=click.IntRange(1, 64), help="Jobs at the same time.")
@click.pass_obj
def worker(place: Place, *, threads: int) -> None:
    """Run events and jobs until Ctrl+C, without serving pages. Any number may run, on any machine of the site.

    With jobs = "celery" in rapport.toml it is a Celery worker.
    """
    from rapport.broker import work_for_broker
    from rapport.logs import configure
    from rapport.worker import Worker

    config = place.config()
    configure(config)
    following = Following(config, safe=place.safe)
    work = Worker(following, threads)
    signal.signal(signal.SIGTERM, _interrupt)  # before there is anything to finish
    try:
        work.start()
        say("The worker is running  (Ctrl+C stops it)")
        if config.jobs == "celery":
            work_for_broker(following, config, threads)
        else:
            threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        say("Finishing what is being done …")
        work.stop()
        following.site.close()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Following:
    """The site of the day: opened anew when plugins or settings have changed."""

    def __init__(self, config: Config, *, safe: bool) -> None:
        from rapport.site import Site

        self._config = config
        self._safe = safe
        self._lock = threading.Lock()
        self._look_at = time.monotonic() + LOOK_SECONDS
        self.site = Site.open(config, safe=safe)

    def __call__(self) -> Site:
        with self._lock:
            if time.monotonic() >= self._look_at:
                self._look_at = time.monotonic() + LOOK_SECONDS
                try:
                    self._follow()
                except Exception:  # the database is away: who asks goes on with what there is, and asks again
                    logging.getLogger("rapport").exception("the worker could not look whether the site has changed")
            return self.site

    def _follow(self) -> None:
        if self.site.outdated():
            from rapport.site import Site

            old, self.site = self.site, Site.open(self._config, safe=self._safe)
            old.close()
