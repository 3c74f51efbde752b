"""CloudNativePG's Cluster and Pooler as Pods: one PostgreSQL and one PgBouncer with what the objects say."""
from __future__ import annotations
from podrunner.objects import Object, Objects
def expanded(objects: list[Object]) -> list[Object]:
    return objects
def secrets(objects: list[Object], store: Objects) -> None:
    return
