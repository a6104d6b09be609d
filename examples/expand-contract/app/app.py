#!/usr/bin/python3
"""A small directory of users: POST /users makes one, PUT /users/ID names it anew, GET /users/ID says its name.

Run as `app.py` it serves on PORT; `app.py names` writes all users it finds, as a job beside the app would. RELEASE says
which release this is: all that differs is in releases.py.
"""
import json
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import database
from releases import RELEASES

NAME = os.environ["RELEASE"]
RELEASE = RELEASES[NAME.split("-")[0]]  # v3-hotfix is built from v3

local = threading.local()


def run(sql, **values):
    """Runs one statement on the connection of this thread. One that failed is not used again."""
    if not hasattr(local, "db"):
        local.db = database.connect()
    try:
        return local.db.run(sql, **values)
    except Exception:
        del local.db
        raise


def health():
    """What this build works with, and what the database has now: asked for at each check, as a migration changes it."""
    least, most = RELEASE["schema"]
    return {"status": "ok", "version": NAME, "schema": {"have": database.version(run), "min": least, "max": most}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one write
    disable_nagle_algorithm = True

    def do_GET(self):
        if self.path == "/health":
            return self.guarded(lambda: (200, json.dumps(health()), "application/json"))
        self.guarded(lambda: self.one(run(RELEASE["select"] + " WHERE id = :id", id=self.user()), 1))

    def do_POST(self):
        name = self.body()
        self.guarded(lambda: (201, str(run(RELEASE["insert"], name=name)[0][0]), "text/plain"))

    def do_PUT(self):
        name = self.body()
        self.guarded(lambda: self.one(run(RELEASE["update"], name=name, id=self.user()), 0))

    def user(self):
        found = re.fullmatch(r"/users/(\d{1,18})", self.path)
        return int(found[1]) if found else 0

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def one(self, rows, column):
        return (200, str(rows[0][column]), "text/plain") if rows else (404, "no such user", "text/plain")

    def guarded(self, work):
        try:
            status, text, kind = work()
        except Exception as error:
            status, text, kind = 500, str(error), "text/plain"
        data = text.encode()
        self.send_response(status)
        self.send_header("X-Release", NAME)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Sluice keeps the access log."""


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if sys.argv[1:] == ["names"]:
    for number, name in run(RELEASE["select"] + " ORDER BY id"):
        print(number, name, sep="\t")
else:
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
