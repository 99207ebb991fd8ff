"""An operator: robots are built, built anew, looked at and scrapped."""

import os

import kopf

ROBOTS = ("example.com", "v1", "robots")


@kopf.on.login()
def login(**_):
    return kopf.ConnectionInfo(server=os.environ["ROA"])


@kopf.on.startup()
def configure(settings, **_):
    settings.networking.error_backoffs = [0.2] * 100
    settings.watching.reconnect_backoff = 0.2
    settings.persistence.finalizer = "example.com/kopf"
    print("operator started", flush=True)


@kopf.on.create(*ROBOTS)
def built(spec, **_):
    return {"arms": spec["arms"]}


@kopf.on.update(*ROBOTS)
def rebuilt(spec, **_):
    return {"arms": spec["arms"]}


@kopf.timer(*ROBOTS, interval=1.0)
def tick(patch, status, **_):
    if not status.get("ticks"):
        patch.status["ticks"] = 1


@kopf.on.delete(*ROBOTS)
def scrapped(body, **_):
    kopf.info(body, reason="Scrapped", message="no longer needed")
