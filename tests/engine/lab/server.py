"""Serves a folder with a password; writes every request to stdout.

The first part of every path is passed over: each run has addresses of its own, which no cache knows.
"""

import base64
import functools
import http.server
import sys

WANTED = "Basic " + base64.b64encode(b"lab:canary-4417").decode()


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.path = "/" + self.path.lstrip("/").partition("/")[2]
        if self.headers.get("Authorization") != WANTED:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="lab"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    do_HEAD = do_GET

    def guess_type(self, path):
        return "application/octet-stream" if str(path).endswith((".whl", ".run", ".gz")) else super().guess_type(path)

    def log_message(self, text, *arguments):
        print(text % arguments, flush=True)


folder, port = sys.argv[1], int(sys.argv[2])
http.server.ThreadingHTTPServer(("", port), functools.partial(Handler, directory=folder)).serve_forever()
