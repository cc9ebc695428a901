"""The worker: tells plugins what happened, has followers follow, keeps schedules and has jobs done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rapport.broker import relay_of
from rapport.events import deliver
from rapport.followers import follow
from rapport.jobs import run_next
from rapport.schedules import tick

if TYPE_CHECKING:
    from rapport.site import Site

log = logging.getLogger("rapport.worker")
JOB_THREADS = 2
"""A long import must not keep a short job waiting."""
IDLE_SECONDS = 0.5
"""How late a job may begin that another process enqueued, or whose time has come."""

GATHER_SECONDS = 0.05
"""While changes stream in, they are looked after together: looking after each by itself cost more than making it."""


def attend(site: Site) -> int:
    """Look after all that is quick; 0 when nothing was to do."""
    return tick(site) + deliver(site) + follow(site)


def hand_over(site: Site) -> int:
    """Give due jobs to the broker, who may take long to answer; how many it took."""
    return relay_of(site.config).release(site)


def work(site: Site) -> int:
    """Do a little of everything that is due; 0 when nothing was. Any number of threads and processes may."""
    return attend(site) + (run_next(site) if site.config.jobs == "threads" else hand_over(site))


class Worker:
    """One thread for what is quick and some for jobs. `current` gives the site of the day: it changes when plugins do.

    Where Celery does the jobs, the second kind is one thread that hands them over: plugins hear of what happened
    whatever the broker does.
    """

    def __init__(self, current: Callable[[], Site], threads: int = JOB_THREADS) -> None:
        self._current = current
        self._stop = threading.Event()
        looks: list[Callable[[Site], int]] = [attend]
        if current().config.jobs == "threads":
            looks += [run_next] * threads
        else:
            looks.append(hand_over)
            relay_of(current().config)  # here, before there are threads: Celery cannot be imported by two at once
        self._threads = [
            threading.Thread(target=self._loop, args=(look,), name=f"rapport-worker-{number}", daemon=True)
            for number, look in enumerate(looks)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def _loop(self, look: Callable[[Site], int]) -> None:
        """Work until `stop`; sleeps while there is nothing to do, and wakes when this process commits something."""
        while not self._stop.is_set():
            site = self._current()
            wakes = site.wakes
            try:
                busy = look(site)
            except (Exception, SystemExit):  # the database is away: wait and look again
                log.exception("the worker could not look for work")
                busy = 0
            if not busy:
                site.wait_for_work(IDLE_SECONDS, wakes)
            if not busy or look is attend:
                self._stop.wait(GATHER_SECONDS)

    def stop(self) -> None:
        """Finish what is being done, and end."""
        self._stop.set()
        self._current().wake()
        for thread in self._threads:
            thread.join()
