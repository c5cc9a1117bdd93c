"""WebSockets on the JSON gateway, with sockets and nothing else, next to a real etcd's."""

import base64
import json
import os
import socket
import struct

TEXT, BINARY, END, PING, PONG = 1, 2, 8, 9, 10


class WebSocket:
    """One client. The handshake's status and headers are in `status` and `headers`."""

    def __init__(self, endpoint, path, headers=None, method="GET", version="13"):
        host, port = endpoint.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.stream = self.socket.makefile("rb")
        lines = [f"{method} {path} HTTP/1.1", f"Host: {endpoint}", "Connection: Upgrade", "Upgrade: websocket",
                 f"Sec-WebSocket-Version: {version}",
                 "Sec-WebSocket-Key: " + base64.b64encode(os.urandom(16)).decode()]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.status = int(self.stream.readline().split()[1])
        self.headers = {}
        while (line := self.stream.readline().strip()):
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def send(self, payload, opcode=TEXT, final=True):
        payload = payload if isinstance(payload, bytes) else payload.encode()
        mask = os.urandom(4)
        length = struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0x80 | 126, len(payload))
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(struct.pack("!B", (0x80 if final else 0) | opcode) + length + mask + masked)

    def receive(self):
        """The next frame as (opcode, payload); (None, b"") at the end."""
        head = self.stream.read(2)
        if len(head) < 2:
            return None, b""
        length = head[1] & 0x7f
        if length == 126:
            length = struct.unpack("!H", self.stream.read(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self.stream.read(8))[0]
        return head[0] & 0x0f, self.stream.read(length)

    def texts(self, count):
        """The next `count` messages as JSON, or fewer if it ends before."""
        found = []
        while len(found) < count:
            opcode, payload = self.receive()
            if opcode == TEXT:
                found.append(json.loads(payload))
            elif opcode in (None, END):
                break
        return found


def check(etcd, ours, fetch, steady, differ):
    def on_both(what, act):
        theirs, mine = (act(member) for member in (etcd, ours))
        if theirs != mine:
            differ(f"WebSocket: {what}", theirs, mine)

    def talk(path, *messages, answers, meanwhile=None):
        def act(member):
            with WebSocket(member.endpoint, path) as web:
                if web.status != 101:
                    return web.status
                for message in messages:
                    web.send(json.dumps(message))
                first = web.texts(1)
                if meanwhile:
                    meanwhile(member)
                return steady(first + web.texts(answers - 1))
        return act

    def put(member):
        for value in (b"MQ==", b"Mg=="):
            fetch(member.url, "POST", "/v3/kv/put", b'{"key":"d3M=","value":"%s"}' % value)

    on_both("a watch", talk("/v3/watch", {"create_request": {"key": "d3M="}}, answers=3, meanwhile=put))
    on_both("a watch by its old path", talk("/v3beta/watch", {"create_request": {"key": "d3M="}}, answers=1))
    on_both("two watches, one cancelled",
            talk("/v3/watch", {"create_request": {"key": "d3M="}}, {"create_request": {"key": "d3M=", "watch_id": "7"}},
                 {"cancel_request": {"watch_id": "7"}}, answers=3))
    on_both("a lease kept alive", talk("/v3/lease/keepalive", {"ID": "77"}, {"ID": "123456"}, answers=2))
    # etcd waits here for the end of the client's messages, and has then nobody to answer.
    answer = talk("/v3/kv/range", {"key": "d3M=", "count_only": True}, answers=1)(ours)
    if answer != [{"count": "1"}]:
        differ("WebSocket: a range", "its answer", answer)
    on_both("no such method", talk("/v3/nope", answers=1))

    def pieces(member):
        with WebSocket(member.endpoint, "/v3/lease/keepalive") as web:
            web.send('{"ID"', final=False)
            web.send(b"are you there", PING)
            web.send(':"77"}', 0)
            seen = [web.receive() for _ in range(2)]
            return sorted(seen)[0][0], [payload for opcode, payload in seen if opcode == PONG]
    on_both("a message in pieces, a ping between", pieces)

    def protocol(member):
        with WebSocket(member.endpoint, "/v3/watch", {"Sec-WebSocket-Protocol": "Bearer, nonsense"}) as web:
            return web.status, web.headers.get("sec-websocket-protocol")
    on_both("a token as a subprotocol", protocol)

    def refused(**handshake):
        return lambda member: WebSocket(member.endpoint, "/v3/watch", **handshake).status
    on_both("another version", refused(version="8"))

    with WebSocket(ours.endpoint, "/v3/watch") as web:
        web.send(b"", END)
        if web.receive() != (END, struct.pack("!H", 1000)):
            differ("WebSocket: an end is answered", "1000", "nothing")
    with WebSocket(ours.endpoint, "/v3/watch") as web:
        web.socket.sendall(b"\x81\x05plain")
        if web.receive() != (END, struct.pack("!H", 1002)):
            differ("WebSocket: what is not masked ends it", "1002", "something else")
