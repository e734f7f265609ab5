"""An .rvc decoder from bytes to integers in plain Python, written from SPEC.md: the proof that the text is enough.

It needs nothing but the standard library, not even the rest of this package, reads only whole files, and takes its
time. `python decoder.py FILE.rvc MODEL.safetensors` prints the hash of the integers. Section numbers are SPEC.md's.
"""

from __future__ import annotations

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

Table = dict[str, list]  # an array's name to its numbers, the last index running fastest
ARRAYS = ("steps", "row_of", "low", "size", "counts")
CONTEXT = (
    "components", "normal", "scale", "level", "feed", "straight", "beside", "across", "state", "out", "base", "bank",
    "switch",
)  # fmt: skip
CLASS_COUNTS = [16378, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1]
LARGEST = 2**20 - 1


class Invalid(Exception):
    """The bytes are not what SPEC.md describes."""


# ------------------------------------------------------------ 1 and 3: numbers and the header


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """A number and the position after it."""
    value = shift = 0
    while True:
        if pos >= len(data) or shift > 56:
            raise Invalid("a number is cut off or too long")
        byte, pos = data[pos], pos + 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            if byte == 0 and shift > 7:
                raise Invalid("a number is not in its shortest form")
            return value, pos


def check(holds: bool, what: str) -> None:
    """Invalid, unless it holds."""
    if not holds:
        raise Invalid(what)


def read_header(data: bytes) -> tuple[dict, int]:
    """The core fields and the header's size."""
    check(data[:8] == b"\x89RVC\r\n\x1a\n", "not an .rvc file")
    check(data[8:9] == b"\1", "another version")
    size, pos = varint(data, 9)
    end = pos + size
    check(size <= 65536 and end + 4 <= len(data), "the header is too long")
    check(zlib.crc32(data[:end]) == int.from_bytes(data[end : end + 4], "little"), "the header's CRC")
    core = pos
    check(size > 0, "the header is too short")
    flags, pos = data[pos], pos + 1
    check(flags < 128, "an unknown flag")
    body = data[:end]
    head: dict[str, Any] = {"rate": 48000, "hop": 2048, "latents": 128}
    if flags & 64:
        for name in head:
            head[name], pos = varint(body, pos)
        check(head != {"rate": 48000, "hop": 2048, "latents": 128}, "usual numbers are spelled out")
    for name in ("components", "source", "step", "frames", "seed", "samples", "fidelity"):
        head[name], pos = varint(body, pos)
    check(head["source"] != head["rate"], "the source rate is spelled out")
    head["source"] = head["source"] or head["rate"]
    head["step"] = head["step"] // 2 if head["step"] % 2 == 0 else -(head["step"] + 1) // 2
    head["channels"], layout = (flags & 7) + 1, flags >> 3 & 3
    head["linked"] = layout == 3
    check((layout == 0) == (head["channels"] == 1) and layout != 1, "the layout")
    check(layout != 3 or head["channels"] == 2, "the layout")
    bounds = {
        "rate": (1, 2**20), "hop": (1, 65536), "latents": (1, 1024), "components": (1, head["latents"]),
        "source": (1, 2**20), "step": (-64, 63), "frames": (1, 1024), "seed": (0, 2**32 - 1), "samples": (0, 2**48),
        "fidelity": (0, 1000000),
    }  # fmt: skip
    for name, (low, high) in bounds.items():
        check(low <= head[name] <= high, name)
    check(head["channels"] * head["frames"] * head["components"] <= 131072, "symbols of a packet")
    check(pos + 24 <= end, "the header is too short")
    head["tables"] = data[pos + 16 : pos + 24]
    pos += 24
    head["crc"] = zlib.crc32(data[core:pos])
    while pos < end:
        kind, pos = varint(body, pos)
        length, pos = varint(body, pos)
        check(kind % 2 == 0 and pos + length <= end, "a critical or overlong field")
        pos += length
    return head, end + 4


# ------------------------------------------------------------ 5: tables


def read_tables(model: bytes) -> Table:
    """The arrays of tables in a safetensors file: a length, a JSON description, the numbers; or one deflated in it."""
    size = int.from_bytes(model[:8], "little")
    described = json.loads(model[8 : 8 + size])
    if "tables" in described:
        begin, end = described["tables"]["data_offsets"]
        return read_tables(zlib.decompress(model[8 + size + begin : 8 + size + end]))
    found: Table = {}
    for name in ARRAYS + CONTEXT:
        plain = "tables." + (name if name in ARRAYS else "context_" + name)
        for key in plain, "packed_" + plain:
            if key in described:
                begin, end = described[key]["data_offsets"]
                kind, shape = described[key]["dtype"], described[key]["shape"]
                found[name] = numbers_of(model[8 + size + begin : 8 + size + end], kind, shape, key != plain)
    return found


def numbers_of(raw: bytes, kind: str, shape: list[int], packed: bool) -> list[int]:
    """An array's numbers, one after another."""
    letter = {"I8": "b", "U8": "B", "I16": "h", "U16": "H", "I32": "i", "U32": "I"}[kind]
    width = struct.calcsize(letter)
    count = len(raw) // width
    if packed:
        raw = bytes(raw[place * count + number] for number in range(count) for place in range(width))
    numbers = list(struct.unpack(f"<{count}{letter}", raw))
    if packed and kind == "I32" and len(shape) == 2:
        for i in [*range(shape[1], count)] * 2:
            numbers[i] = (numbers[i] + numbers[i - shape[1]] + 2**31) % 2**32 - 2**31
    return numbers


def listed_tables(arrays: dict) -> Table:
    """Tables from nested lists, as `tables.json` of the conformance vectors has them."""

    def flat(values: list | int) -> list[int]:
        return [number for part in values for number in flat(part)] if isinstance(values, list) else [values]

    return {name.removeprefix("context_"): flat(values) for name, values in arrays.items() if name != "id"}


def tables_id(tables: Table) -> bytes:
    """The id of tables."""
    digest = hashlib.sha256(b"rvc tables 1")
    for name in ARRAYS + CONTEXT:
        if name in tables:
            numbers = tables[name]
            digest.update(struct.pack(f"<I{len(numbers)}i", len(numbers), *numbers))
    return digest.digest()[:8]


# ------------------------------------------------------------ 8: the range decoder


class RangeDecoder:
    """Draws symbols from a payload."""

    def __init__(self, payload: bytes) -> None:
        check(payload[-1:] != b"\0", "a payload ends in a zero byte")
        self.payload, self.pos = payload, 0
        self.lower, self.range = 0, 2**64 - 1
        self.point = self.word() * 2**32 + self.word()

    def word(self) -> int:
        """Four bytes, zeros past the end."""
        self.pos += 4
        return int.from_bytes(self.payload[self.pos - 4 : self.pos].ljust(4, b"\0"), "big")

    def symbol(self, edges: list[int]) -> int:
        """The next symbol, of a division of 2^24."""
        scale = self.range >> 24
        place = (self.point - self.lower) % 2**64 // scale
        check(place < 2**24, "the payload is not valid")
        low, high = 0, len(edges) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if edges[middle] <= place else (low, middle)
        self.lower = (self.lower + scale * edges[low]) % 2**64
        self.range = scale * (edges[low + 1] - edges[low])
        if self.range < 2**32:
            self.lower = self.lower * 2**32 % 2**64
            self.range *= 2**32
            self.point = (self.point * 2**32 + self.word()) % 2**64
        return low


def edges_of(counts: list[int]) -> list[int]:
    """Where the intervals of a row begin, and 2^24."""
    n, below, edges = len(counts), 0, []
    for j, count in enumerate(counts):
        edges.append((below * (2**24 - n) >> 15) + j)
        below += count
    return [*edges, 2**24]


CLASS_EDGES = edges_of(CLASS_COUNTS)
BIT_EDGES = [0, 2**23, 2**24]


# ------------------------------------------------------------ 6 and 7: integers and the context network


def clip(x: int, low: int, high: int) -> int:
    """The nearest number of low..high."""
    return min(max(x, low), high)


class PacketDecoder:
    """Decodes payloads with one set of tables at one step; channels may be linked."""

    def __init__(self, tables: Table, step: int, components: int, linked: bool) -> None:
        check(step in tables["steps"], "a step that the tables do not know")
        self.t, self.step, self.components, self.linked = tables, step, components, linked
        self.s = tables["steps"].index(step)
        self.width = len(tables["row_of"]) // len(tables["steps"])
        check(components <= self.width, "more components than the tables have")
        self.starts = [0]
        for size in tables["size"]:
            self.starts.append(self.starts[-1] + size)
        self.edges: dict[int, list[int]] = {}
        self.chosen = tables.get("components", [])
        self.N = len(self.chosen)
        self.switch = tables.get("switch", [-1] * self.N)
        self.H = len(tables["feed"]) // (10 * self.N) if self.N else 0

    def decode(self, payload: bytes, channels: int, frames: int) -> list[list[list[int]]]:
        """The integers [channel][frame][component] of a payload."""
        self.coder, self.frames = RangeDecoder(payload), frames
        self.A = [[[0] * self.H for _ in range(frames)] for _ in range(channels)]
        self.B = [[[0] * (2 * self.N) for _ in range(frames)] for _ in range(channels)]
        codes = [[[0] * self.components for _ in range(frames)] for _ in range(channels)]
        for c in range(self.components):
            row = self.t["row_of"][self.s * self.width + c]
            before: list[tuple[int, int, int]] | None = None
            for channel in range(channels):
                if row >= 0:
                    line = self.run([row] * frames, [0] * frames)
                else:
                    n = self.chosen.index(c)
                    ruling = codes[0 if self.linked else channel]
                    on = [self.switch[n] < 0 or ruling[t][self.chosen[self.switch[n]]] > 0 for t in range(frames)]
                    line, before = self.predicted_line(n, channel, before, on)
                for t in range(frames):
                    codes[channel][t][c] = line[t]
        return codes

    def run(self, rows: list[int], whole: list[int]) -> list[int]:
        """The integers of a run from each one's row and whole part."""
        values, escapes = [], []
        for place, (row, w) in enumerate(zip(rows, whole, strict=True)):
            n = self.t["size"][row]
            if row not in self.edges:
                self.edges[row] = edges_of(self.t["counts"][self.starts[row] : self.starts[row] + n])
            entry = self.coder.symbol(self.edges[row]) if n > 1 else 0
            low = self.t["low"][row] + w
            values.append(low + entry)
            if entry == n - 1:
                escapes.append((place, low, low + n - 1))
        classes = [self.coder.symbol(CLASS_EDGES) for _ in escapes]
        for (place, low, high), k in zip(escapes, classes, strict=True):
            m = 1
            for _ in range(k):
                m = 2 * m + self.coder.symbol(BIT_EDGES)
            values[place] = high + (m - 1) // 2 if m % 2 else low - m // 2
            check(abs(values[place]) <= LARGEST, "an integer is out of bounds")
        return values

    def predicted_line(
        self, n: int, channel: int, before: list[tuple[int, int, int]] | None, on: list[bool]
    ) -> tuple[list[int], list[tuple[int, int, int]]]:
        """A line whose rows the network chooses, and its features; `before` are those of the channel before.

        What is not `on` is zero and has no features.
        """
        frames = self.frames
        line = [0] * frames
        known = [(0, 0, 0)] * frames
        for level in range(5):
            d = 16 >> level
            members = [t for t in (range(0, frames, 16) if level == 0 else range(d, frames, 2 * d)) if on[t]]
            chosen = [self.predict(n, channel, t, level, known, before) for t in members]
            values = self.run([row for row, _ in chosen], [w for _, w in chosen])
            for t, value in zip(members, values, strict=True):
                line[t] = value
            for t in members:
                known[t] = self.features(line[t], n)
        self.tell(n, channel, known)
        return line, known

    def features(self, x: int, n: int) -> tuple[int, int, int]:
        """Value, magnitude and presence of an integer."""
        u = clip((x * self.t["normal"][self.s * self.N + n] + 2048) >> 12, -4095, 4095)
        a = abs(u) + 4
        p = a.bit_length() - 1
        return clip(u, -127, 127), min(16 * p + (16 * a >> p) - 48, 127), 64

    def predict(self, n: int, channel: int, t: int, level: int, known: list, before: list | None) -> tuple[int, int]:
        """Row and whole part of the mean for frame t."""
        table, H, last = self.t, self.H, self.frames - 1

        def at(features: list, place: int) -> tuple[int, int, int]:
            found: tuple[int, int, int] = features[place] if 0 <= place <= last else (0, 0, 0)
            return found

        x, y, z = [0] * 12, [0] * 6, [0] * 11
        if level:
            d = 16 >> level
            x = [number for j in (-1, 1, -3, 3) for number in at(known, t + j * d)]
        if channel and self.linked and before is not None:
            y = [number for j in (0, -1, 1) for number in at(before, t + j)[:2]]
        z[level] = 64
        z[5:9] = [64 * edge for edge in (t - 1 < 0, t + 1 > last, t - 2 < 0, t + 2 > last)]
        z[9], z[10] = 64 * (channel > 0 and self.linked), 8 * self.step
        g = list(self.A[channel][t])
        for inputs, name in ((x, "beside"), (y, "across"), (z, "state")):
            for j, number in enumerate(inputs):
                if number:
                    start = (n * len(inputs) + j) * H
                    weights = table[name][start : start + H]
                    for h in range(H):
                        g[h] += number * weights[h]
        inputs = [clip(number + 64 >> 7, 0, 255) for number in g] + x + y
        o = []
        for i in (0, 1):
            total = ((self.B[channel][t][2 * n + i] + 2) >> 2) + table["base"][2 * n + i]
            start = n * (H + 18)
            o.append(total + sum(v * table["out"][2 * (start + j) + i] for j, v in enumerate(inputs)))
        place = self.s * self.N + n
        mean = clip((o[0] * table["scale"][place] + 2**18) >> 19, -(2**15), 2**15)
        kind = clip((o[1] + table["level"][place] + 64) >> 7, 0, len(table["bank"]) // 8 - 1)
        return table["bank"][8 * kind + mean % 8], mean >> 3

    def tell(self, n: int, channel: int, known: list) -> None:
        """Add a line to the sums that later components see."""
        H, N = self.H, self.N
        for t in range(self.frames):
            places = [t + j for j in (0, -1, 1, -2, 2)]
            v = [number for p in places for number in (known[p][:2] if 0 <= p < self.frames else (0, 0))]
            to_hidden, to_output = self.A[channel][t], self.B[channel][t]
            for j, number in enumerate(v):
                if number:
                    feed, straight = (n * 10 + j) * H, (n * 10 + j) * N
                    for h in range(H):
                        to_hidden[h] += number * self.t["feed"][feed + h]
                    for m in range(n + 1, N):
                        to_output[2 * m + j % 2] += number * self.t["straight"][straight + m]


# ------------------------------------------------------------ 4 and 9: packets and the end


def decode(data: bytes, tables: Table) -> tuple[list[list[list[int]]], str]:
    """The integers [frame][channel][component] of a whole file and their hash; Invalid if anything in it is."""
    head, pos = read_header(data)
    check(tables_id(tables) == head["tables"], "the file needs other tables")
    decoders: dict[int, PacketDecoder] = {}
    channels, full, width = head["channels"], head["frames"], head["components"]
    whole: list[list[list[int]]] = []
    count, ended = 0, False
    while True:
        start = pos
        word, pos = varint(data, pos)
        index, pos = varint(data, pos)
        kind, size, more = word & 3, word >> 3, 0
        if word & 4:
            more, pos = varint(data, pos)
            check(1 <= more < 128 * full and kind != 3, "the length or step of a packet")
        frames, step = more % full or full, head["step"] + more // full
        payload = data[pos + 4 : pos + 4 + size]
        check(len(payload) == size and pos + 4 <= len(data), "the file ends inside a packet")
        check(size <= (65536 if kind == 3 else max(65536, 8 * channels * full * width + 16)), "a payload's size")
        crc = zlib.crc32(payload, zlib.crc32(data[start:pos], head["crc"]))
        check(crc == int.from_bytes(data[pos : pos + 4], "little"), "a packet's CRC")
        check(index == count <= 2**28, "a packet's index")
        pos += 4 + size
        if kind == 3:
            break
        check(not ended, "a packet after a short one")
        count, ended = count + 1, frames < full
        check(step <= 63, "a packet's step")
        if kind == 1:
            check(size == 0, "a zero packet's payload")
            codes = [[[0] * width for _ in range(frames)] for _ in range(channels)]
        else:
            if step not in decoders:
                decoders[step] = PacketDecoder(tables, step, width, head["linked"])
            codes = decoders[step].decode(payload, channels, frames if kind == 0 else 1)
            if kind == 2:
                codes = [lines * frames for lines in codes]
        whole += [[codes[channel][t] for channel in range(channels)] for t in range(frames)]
    digest = hashlib.sha256()
    for frame in whole:
        for channel_codes in frame:
            digest.update(struct.pack(f"<{width}i", *channel_codes))
    check(payload[:16] in (bytes(16), digest.digest()[:16]), "the hash over all integers")
    check(varint(payload, 16)[0] == len(whole), "the number of frames")
    return whole, digest.hexdigest()


def main(arguments: list[str]) -> int:
    """Print the hash of a file's integers."""
    if len(arguments) != 2:
        sys.stderr.write("usage: decoder.py FILE.rvc MODEL.safetensors\n")
        return 2
    file, model = (Path(name).read_bytes() for name in arguments)
    try:
        sys.stdout.write(decode(file, read_tables(model))[1] + "\n")
    except Invalid as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
