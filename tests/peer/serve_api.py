"""The API with builtin identity on a store of its own, as a process: `python -m tests.peer.serve_api FOLDER`.

Writes FOLDER/clouds.yaml when it can be asked; ends with the process that started it.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import uvicorn
import uvloop

from netloom.api.app import make_app
from netloom.api.identity.builtin import BuiltinIdentity
from netloom.api.identity.users import make_builtin_users, render_clouds_yaml
from netloom.api.parts import ApiParts
from netloom.api.rules import make_policy_source
from netloom.intent.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester, Settings
from netloom.store.context import make_contexts, make_id
from netloom.store.engine import open_store
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer


async def serve(folder: Path) -> None:
    store = open_store(f"sqlite:///{folder}/netloom.db")
    writer = Writer(SqlJournal(store), load_snapshot(store, CATALOG), make_contexts(Settings()))
    await writer(lambda snapshot, context: report_host(snapshot, context, "h1", {}, "nova"), Requester())
    users, passwords = make_builtin_users(make_id, make_id, rounds=4)
    identity = BuiltinIdentity(users, b"k" * 32)
    parts = ApiParts(
        CATALOG, lambda: writer.snapshot, writer, identity, make_policy_source(CATALOG), mounts={"/identity": identity}
    )
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/identity/v3"
    (folder / "clouds.new").write_text(render_clouds_yaml(url, passwords))
    (folder / "clouds.new").rename(folder / "clouds.yaml")
    config = uvicorn.Config(make_app(parts), access_log=False, log_level="warning")
    await uvicorn.Server(config).serve([listener])
    await writer.close()
    store.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
