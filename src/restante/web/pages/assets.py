"""What pages load: the style sheet, the scripts, all from this package and this host. Their names have a digest of what
is in them, so that a browser keeps them for good, and has the new ones at once after an upgrade.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter, Response

from restante.web.problems import Problem

KINDS = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
KEPT = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file; `kind` is its media type."""

    octets: bytes
    kind: str
    path: str
    """Where it is served."""


def all_assets() -> Mapping[str, Asset]:
    """By name. Blocks."""
    found = {}
    for file in files("restante.web.pages").joinpath("static").iterdir():
        if (kind := KINDS.get(file.name.rpartition(".")[2])) is not None:
            octets = file.read_bytes()
            digest = hashlib.sha256(octets).hexdigest()[:16]
            found[file.name] = Asset(octets, kind, f"/static/{digest}/{file.name}")
    return found


def assets_router(assets: Mapping[str, Asset]) -> APIRouter:
    """Its route, for everybody: the page on which one logs in has a style, too."""
    router = APIRouter(include_in_schema=False)
    by_path = {asset.path: asset for asset in assets.values()}

    @router.get("/static/{digest}/{name}")
    async def file(digest: str, name: str) -> Response:
        asset = by_path.get(f"/static/{digest}/{name}")
        if asset is None:
            raise Problem(404)
        return Response(asset.octets, media_type=asset.kind, headers={"Cache-Control": KEPT})

    return router
