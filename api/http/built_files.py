"""Built files, held in memory and found by their exact names: no path of a request reaches a file system."""

import re
from collections.abc import Mapping
from importlib.resources.abc import Traversable
from mimetypes import guess_type
from typing import Final

import msgspec
from fastapi import Request, Response

LIST: Final = "integrity.json"
"""What a build consists of: `{"build": id, "files": {path: {"sha256": ..., "size": ...}}}`."""

_CODINGS: Final = {"br": ".br", "gzip": ".gz"}
"""Content codings, the better one first, and how the files of each end."""

_NONE_OF_IT: Final = re.compile(r"\s*q=0(\.0*)?\s*")

_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"
"""Kept, but never used without asking whether it has changed."""

_TYPES: Final = {"js": "text/javascript", "webmanifest": "application/manifest+json"}


class BuiltFile(msgspec.Struct, frozen=True):
    """One file of a build.

    Attributes:
        forms: Its bytes by content coding; under "" as they are.
        tag: Names its contents.
        media_type: What it is.
        hashed: Its contents are in its name, so they never change.
    """

    forms: Mapping[str, bytes]
    tag: str
    media_type: str
    hashed: bool

    def answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        """Return the answer to a request for it, with these headers among others."""
        coding = _coding(request.headers.get("accept-encoding", ""), self.forms)
        tag = f'"{self.tag}{coding and "-" + coding}"'
        headers = {
            **headers,
            "Cache-Control": _FOR_GOOD if self.hashed else _ASK_FIRST,
            "ETag": tag,
            "Vary": "Accept-Encoding",
        }
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if coding:
            headers["Content-Encoding"] = coding
        return Response(self.forms[coding], 200, headers, self.media_type)


def read(folder: Traversable) -> dict[str, BuiltFile]:
    """Return the files of a build by their paths, its list among them; none if there is no build."""
    if not folder.joinpath(LIST).is_file():
        return {}
    plain = folder.joinpath(LIST).read_bytes()
    listed = msgspec.json.decode(plain)
    own = BuiltFile({"": plain}, listed["build"], "application/json", hashed=False)
    return {LIST: own} | {
        path: BuiltFile(_forms(folder, path), said["sha256"][7:29], _media_type(path), _is_hashed(path))
        for path, said in listed["files"].items()
    }


def _forms(folder: Traversable, path: str) -> dict[str, bytes]:
    names = {"": path} | {coding: path + ending for coding, ending in _CODINGS.items()}
    found = {coding: folder.joinpath(name) for coding, name in names.items()}
    return {coding: file.read_bytes() for coding, file in found.items() if not coding or file.is_file()}


def _media_type(path: str) -> str:
    return _TYPES.get(path.rpartition(".")[2]) or guess_type(path)[0] or "application/octet-stream"


def _is_hashed(path: str) -> bool:
    """Whether the build put a hash of its contents into its name."""
    return path.startswith("assets/")


def _coding(accepted: str, forms: Mapping[str, bytes]) -> str:
    """Return the best coding that there is and that the client names, "" for none."""
    named = {}
    for each in accepted.lower().split(","):
        name, _, weight = each.partition(";")
        named[name.strip()] = not _NONE_OF_IT.fullmatch(weight)
    return next((coding for coding in _CODINGS if coding in forms and named.get(coding)), "")
