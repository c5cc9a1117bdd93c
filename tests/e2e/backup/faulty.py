#!/usr/bin/env python3
"""tests/e2e/backup/faulty.py LISTEN_HOST:PORT SERVER_HOST:PORT MODE_FILE

An S3 server's worse self: passes requests on to a real one and misbehaves as the word in MODE_FILE says.

  deny      every request is refused
  full      what would store something is refused, as by a disk without space
  stall     what would store something is taken and never answered
  cut       an answer's body ends in its middle
  flip      an answer's body has one byte changed: objects only, not listings
"""

import http.client
import http.server
import re
import sys
import threading

ERRORS = {"deny": (403, "AccessDenied"), "full": (507, "InsufficientStorage")}
IS_OBJECT = re.compile(r"\.db(\.sealed)?(\?|$)")


class Faulty(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with open(mode_file, encoding="utf-8") as file:
            mode = file.read().strip()
        stores = self.command in ("PUT", "POST")
        if mode == "deny" or (mode == "full" and stores):
            code, word = ERRORS[mode]
            return self.answer(code, {}, f"<Error><Code>{word}</Code><Message>{word}</Message></Error>".encode())
        if mode == "stall" and stores:
            threading.Event().wait(600)
            self.close_connection = True
            return None
        upstream = http.client.HTTPConnection(server, timeout=60)
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        response = upstream.getresponse()
        content = response.read()
        upstream.close()
        spoils = self.command == "GET" and IS_OBJECT.search(self.path) and response.status in (200, 206)
        if mode == "flip" and spoils:
            content = content[:-1] + bytes([content[-1] ^ 1])
        return self.answer(response.status, dict(response.getheaders()), content, mode == "cut" and spoils)

    def answer(self, code, headers, content, cut=False):
        self.send_response_only(code)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = serve

    def log_message(self, *_):
        pass


listen, server, mode_file = sys.argv[1:]
host, port = listen.rsplit(":", 1)
http.server.ThreadingHTTPServer((host, int(port)), Faulty).serve_forever()
