"""Gives each generated request to a pipe a name of its own and, where it can be served, its peers."""

import http.client
import itertools
import os
import re
import threading
from urllib.parse import quote, urlencode

import schemathesis

PIPE = "/api/v1/pipe/{name}"
RESERVED = {"help", "new", "noscript", "favicon.ico", "robots.txt",
            "health", "metrics", "openapi.json"}
# More peers than this are not brought: such a request waits for its second and is answered 408.
PEERS_MAX = 4
numbers = itertools.count()
waiting = []  # Whom the last DELETE was to cancel.
host = os.environ["RELAY"]


def whole(value, lowest, highest):
    """The number, if the relay takes it as one."""
    text = str(value)
    if re.fullmatch(r"[1-9][0-9]{0,4}", text) and lowest <= int(text) <= highest:
        return int(text)
    return None


def is_on(query, key):
    return key in query and str(query[key]).lower() not in ("false", "no", "0")


def peer(method, name, query, body=None):
    """The other side of a request. What it is answered does not matter."""
    try:
        connection = http.client.HTTPConnection(host, timeout=5)
        headers = {"Content-Type": "application/octet-stream"} if body else {}
        connection.request(method, f"{name}?{urlencode(query)}", body, headers)
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass


def bring(method, name, n):
    """Starts everybody who is missing beside a sender or a receiver."""
    query = {"n": n, "wait": 1, "quiet": ""}
    missing = ["GET"] * n
    if method == "GET":
        missing[0] = "PUT"
    for other in missing:
        body = b"a few bytes" if other == "PUT" else None
        threading.Thread(target=peer, args=(other, name, query, body), daemon=True).start()


def own_name(case):
    """Two requests that run at once must not meet, unless they are meant to."""
    name = str((case.path_parameters or {}).get("name", ""))
    good = re.fullmatch(r"[^\x00-\x1f\x7f/\\]+", name) and name not in (".", "..")
    if good and len(quote(name)) < 1000 and name.rstrip(".").lower() not in RESERVED:
        case.path_parameters["name"] = f"{next(numbers)}-{name}"
        return PIPE.replace("{name}", quote(case.path_parameters["name"], safe=""))
    return None


def agree(case):
    """Valid by itself is not yet valid together, which a description cannot say."""
    query, headers = case.query, case.headers
    if "X-Pipe-N" in headers and whole(headers["X-Pipe-N"], 1, 256):
        if whole(query.get("n", 1), 1, 256):
            headers["X-Pipe-N"] = str(query.get("n", headers["X-Pipe-N"]))
    if re.fullmatch(r"[0-9]{1,19}", str(headers.get("X-Pipe-Length", ""))):
        # Its agreement with Content-Length is tested elsewhere.
        del headers["X-Pipe-Length"]
    if (case.media_type or "").startswith("multipart/"):
        headers.pop("Content-Encoding", None)


def wait_at(name):
    """Somebody for a DELETE to cancel."""
    receiver = http.client.HTTPConnection(host, timeout=5)
    receiver.request("GET", f"{name}?wait=1")
    # It is there as soon as the relay says that somebody waits.
    for _ in range(10):
        status = http.client.HTTPConnection(host, timeout=5)
        status.request("GET", f"{name}?status")
        if b'"waiting"' in status.getresponse().read():
            break
    return receiver


@schemathesis.hook
def filter_case(context, case):
    """Leaves out what the generator takes for a valid name although the description forbids it."""
    name = str((case.path_parameters or {}).get("name", ""))
    taken_for_valid = case.meta is None or case.meta.generation.mode.is_positive
    return not (taken_for_valid and re.search(r"[\x00-\x1f\x7f/\\]", name))


@schemathesis.hook
def before_call(context, case, **kwargs):
    if case.operation.path != PIPE or case.method not in ("GET", "PUT", "POST", "DELETE"):
        return
    if case.method == "DELETE":
        name = own_name(case)
        if name:
            waiting.append(wait_at(name))
            del waiting[:-1]
        return
    agree(case)
    query = case.query
    if "wait" not in query or whole(query["wait"], 1, 3600):
        query["wait"] = 1
    if case.method != "GET":
        # Without it a failure cuts the answer, which is no answer for a client like this one.
        query["quiet"] = "true"
    name = own_name(case)
    n = whole(query.get("n", case.headers.get("X-Pipe-N", 1)), 1, PEERS_MAX)
    watching = case.method == "GET" and (is_on(query, "status") or is_on(query, "progress"))
    if name and n and not watching:
        bring(case.method, name, n)
