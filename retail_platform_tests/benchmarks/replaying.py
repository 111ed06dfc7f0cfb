"""The bare reference of the site: a Starlette app that sends bytes which it holds in memory.

`python -m retail_platform_tests.benchmarks.replaying FOLDER PORT` serves what `replay` recorded.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from retail_platform_tests.servers import free_port
from retail_platform_tests.web.site import Site

_KEPT = ("content-type", "content-encoding", "vary", "cache-control", "content-security-policy")
_PATIENCE_SECONDS = 30.0


@contextmanager
def replay(site: Site, paths: Iterable[str]) -> Iterator[str]:
    """Serves what a site answers now, by another process.

    Args:
        site: Whose answers; compressed, as browsers get them.
        paths: Which, queries included.

    Yields:
        The URL to ask for the same paths.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = {}
        for number, path in enumerate(dict.fromkeys(paths)):
            answer = site.get(path, headers={"Accept-Encoding": "gzip"}, stream=True)
            answer.raise_for_status()
            (folder / str(number)).write_bytes(answer.raw.read(decode_content=False))
            kept = {key: answer.headers[key] for key in _KEPT if key in answer.headers}
            index[path] = [str(number), kept]
        (folder / "index.json").write_text(json.dumps(index))
        port = free_port()
        process = subprocess.Popen([sys.executable, "-m", __name__, str(folder), str(port)])
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, process)
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            requests.get(url, timeout=1)
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the bare reference of the site does not start")


def _serve(folder: Path, port: int) -> None:
    index = json.loads((folder / "index.json").read_text())
    held = {path: ((folder / name).read_bytes(), kept) for path, (name, kept) in index.items()}

    async def send(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        body, headers = held.get(request.url.path + query, (b"", {}))
        return Response(body, 200 if body else 404, headers)

    app = Starlette(routes=[Route("/{path:path}", send)])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
