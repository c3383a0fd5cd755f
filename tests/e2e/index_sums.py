"""The sum of a list of files (index_etag), from its definition in common/index_sum.h alone."""

import hashlib


def _number(*parts):
    return int.from_bytes(hashlib.sha256(b"".join(parts)).digest(), "big")


def _urls(urls):
    return b"\4" + b"".join(url.encode() + b"\0" for url in urls)


def file_number(entry, usual):
    parts = [entry["filename"].encode() + b"\0"]
    if entry.get("size") is not None:
        parts.append(b"\1" + entry["size"].to_bytes(8, "big"))
    if entry.get("content") is not None:
        parts.append(b"\2" + bytes.fromhex(entry["content"]))
    if entry.get("partial"):
        parts.append(b"\3")
    if entry.get("url", usual) != usual:
        parts.append(_urls(entry["url"]))
    return _number(*parts)


def etag(entries, usual=None):
    """Of a list without double names; usual: the urls of entries that have none."""
    entries = list(entries)
    if usual is None:
        usual = entries[0].get("url", []) if entries else []
    total = _number(_urls(usual)) + sum(file_number(entry, usual) for entry in entries)
    return f"{total % 2 ** 256:064x}"
