"""The HTTP shell: from a request to an intent operation, and from documents to JSON. Made from the catalog.

    bytes ─▶ route ─▶ authenticate ─▶ parse ─▶ policy ─▶ submit ─▶ view ─▶ bytes

Law: no resource has code of its own here but those that are not stored as they are shown, or not made as others are
(tags, quotas, the topology for the asking).
What goes in: `ApiParts`. What comes out: an ASGI application (`make_app`).
"""
