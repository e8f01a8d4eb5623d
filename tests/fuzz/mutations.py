"""Seeded damage to files: flipped bits, cut and doubled pieces, and edits of JSON that stay JSON."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable

Mutation = Callable[[bytes, random.Random], bytes]


def mutate(data: bytes, rng: random.Random, *, is_json: bool) -> bytes:
    """The content with one thing changed."""
    kinds = [*BYTES, *([_edit_json] * len(BYTES) if is_json else [])]
    return rng.choice(kinds)(data, rng)


def _flip(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _replace(data: bytes, rng: random.Random) -> bytes:
    at, length = rng.randrange(len(data)), rng.choice((1, 1, 2, 8))
    return data[:at] + rng.randbytes(length) + data[at + length :]


def _delete(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 1, 2, 5, 40, 400)) :]


def _double(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    piece = data[at : at + rng.choice((1, 2, 5, 40))]
    return data[:at] + piece + data[at:]


def _truncate(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data))]


def _change_digit(data: bytes, rng: random.Random) -> bytes:
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    if not places:
        return _flip(data, rng)
    at = rng.choice(places)
    return data[:at] + rng.choice((b"%d" % rng.randrange(10), b"-", b"e9", b"9" * 12)) + data[at + 1 :]


def _swap_lines(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)


def _drop_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    return b"".join(lines)


BYTES: tuple[Mutation, ...] = (
    _flip,
    _flip,
    _replace,
    _delete,
    _double,
    _truncate,
    _change_digit,
    _swap_lines,
    _drop_line,
)


def _edit_json(data: bytes, rng: random.Random) -> bytes:
    content = copy.deepcopy(json.loads(data))
    places = list(_places(content))
    if not places:
        return _flip(data, rng)
    container, key = rng.choice(places)
    old = container[key]
    if isinstance(container, dict) and rng.random() < 0.2:
        value = container.pop(key)
        if rng.random() < 0.5:
            container[f"{key}_"] = value
    elif isinstance(container, list) and rng.random() < 0.3:
        rng.choice((lambda: container.pop(key), lambda: container.append(old), container.reverse))()
    else:
        container[key] = rng.choice(_others(old))
    return json.dumps(content).encode()


def _others(old: object) -> list[object]:
    values: list[object] = [
        None,
        True,
        -1,
        0,
        2**31,
        64_000_000,
        10**30,
        1e308,
        float("nan"),
        "x",
        "",
        [],
        {},
        [[]],
        {"a": 1},
    ]
    if isinstance(old, int | float):
        values += [old + 1, -old, old * 10, old / 3, old * (1 + 1e-12)] * 3
    if isinstance(old, str):
        values += [old + "\n", old[:-1], old[::-1], f'{old}"""\nimport os', "../" + old, old.upper()] * 3
    return values


def _places(content: object):
    """Every (container, key) in it."""
    keys = content if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in keys:
        yield content, key
        yield from _places(content[key])
