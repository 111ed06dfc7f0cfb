"""A published design of streaming recommendations, as fairly as one machine allows: the baseline.

Its transformation asks an HTTP service three times a record, in sequence: for the vector of a user,
made of his city, country and credit limit and of one random product that he browsed; for the products
nearest to it; and for those nearest to that product. Each call opens connections of its own. The
service ranks by exact scans in pgvector.

What it is spared here: the network, TLS, the load balancer, and the model, whose vectors are only
looked up. `python -m retail_platform_tests.benchmarks.published_design URL VERSION` serves, on a port
that it prints.
"""

import base64
import json
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from subprocess import PIPE, Popen
from typing import Any, ClassVar

import psycopg
import requests

Ask = Callable[[str, dict[str, Any]], Any]

_COUNT = 10


def transform(request: dict[str, Any], ask: Ask) -> dict[str, Any]:
    """Its transformation of a Firehose request."""
    chance = random.Random(0)
    records = []
    for record in request["records"]:
        event = json.loads(base64.b64decode(record["data"]))
        browsed = chance.choice(event["browse_history"])["product_code"]
        user = ask("/embeddings", {**event, "browse_history": None, "product_code": browsed})
        event["recommended_items"] = ask("/recommendations", {"vector": user["vector"]})
        event["similar_items"] = ask("/similar", {"product_code": browsed})
        data = base64.b64encode(json.dumps(event).encode() + b"\n").decode()
        records.append({"recordId": record["recordId"], "result": "Ok", "data": data})
    return {"records": records}


@contextmanager
def service(url: str, version: int) -> Iterator[str]:
    """Runs the HTTP service over a published version; gives its address."""
    command = [sys.executable, "-m", __name__, url, str(version)]
    with Popen(command, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def anew(address: str) -> Ask:
    """Asks by connections made for each call, as it is published."""

    def ask(path: str, body: dict[str, Any]) -> Any:
        with requests.Session() as session:
            return session.post(address + path, json=body, timeout=30).json()

    return ask


@contextmanager
def kept_alive(address: str) -> Iterator[Ask]:
    """The same by one connection."""
    with requests.Session() as session:
        yield lambda path, body: session.post(address + path, json=body, timeout=30).json()


class _Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Or each answer over a connection that is kept waits for the receipt of its first half.
    disable_nagle_algorithm = True
    wbufsize = -1
    url = ""
    products = ""
    pool: ClassVar[deque[psycopg.Connection[Any]]] = deque()

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(length))
        answer = json.dumps(self._answer(body)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass

    def _rows(self, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
        try:
            connection = self.pool.pop()
        except IndexError:
            connection = psycopg.connect(self.url, autocommit=True)
            connection.execute("SET enable_indexscan = off")
            connection.execute("SET jit = off")
        rows = connection.execute(sql, parameters).fetchall()
        self.pool.append(connection)
        return rows

    def _answer(self, body: dict[str, Any]) -> Any:
        if self.path == "/embeddings":
            ((vector,),) = self._rows(
                f"SELECT session_context::text FROM {self.products} WHERE product_code = %s",
                [body["product_code"]],
            )
            return {"vector": vector}
        if self.path == "/recommendations":
            sql, asked = "%s::halfvec", body["vector"]
        else:
            sql = f"(SELECT session_context FROM {self.products} WHERE product_code = %s)"
            asked = body["product_code"]
        rows = self._rows(
            f"SELECT product_code, -(session_target <#> {sql}) FROM {self.products}"
            f" ORDER BY session_target <#> {sql} LIMIT {_COUNT}",
            [asked, asked],
        )
        return [{"id": code, "score": score} for code, score in rows]


def _serve(url: str, version: int) -> None:
    _Service.url, _Service.products = url, f"recommender.products_{version}"
    with ThreadingHTTPServer(("127.0.0.1", 0), _Service) as server:
        print(server.server_port, flush=True)  # noqa: T201  (whoever started it reads it)
        server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
