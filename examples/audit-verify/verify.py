#!/usr/bin/env python3
"""Checks an export of Baluarte's audit log without Baluarte, and without trusting the server it came from.

    baluarte audit export               > entries.ndjson
    baluarte audit export --checkpoints > signed.ndjson
    python3 verify.py entries.ndjson signed.ndjson [--anchor anchors.jsonl] [--key KID]

Needs Python 3.9 and nothing else; with the package `cryptography` the signatures are checked faster.
What is computed here, and why, is told in docs/audit.md. Exit code 0: it holds. 1: it does not; the first broken entry is named.
"""

import argparse
import hashlib
import json
import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None

VERSION = 1
# In an exported line, but not in the hash of its entry.
OUTSIDE = ("erased_by", "hash", "private")


class Broken(Exception):
    """Says what does not hold."""


def canonical(value):
    """RFC 8785, for what occurs here: names in ASCII, text, whole numbers, booleans, null, lists."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value):
    return hashlib.sha256(canonical(value)).hexdigest()


# --- Ed25519 (RFC 8032), for machines without `cryptography` ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def add(a, b):
    e, f = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    return ((f - e) * (h - g) % P, (h + g) * (f + e) % P, (h - g) * (h + g) % P, (f - e) * (f + e) % P)


def times(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decode(data):
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


BASE = decode((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def is_signed(public_key, message, signature):
    key, signed = bytes.fromhex(public_key), bytes.fromhex(signature)
    if Ed25519PublicKey:
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signed, message)
            return True
        except (InvalidSignature, ValueError):
            return False
    if len(key) != 32 or len(signed) != 64:
        return False
    point, first, scalar = decode(key), decode(signed[:32]), int.from_bytes(signed[32:], "little")
    if point is None or first is None or scalar >= L:
        return False
    challenge = int.from_bytes(hashlib.sha512(signed[:32] + key + message).digest(), "little") % L
    left, right = times(scalar, BASE), add(first, times(challenge, point))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


# --- what is signed ---


def read_lines(path):
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as err:
                    raise Broken(f"{path}, line {number}: {err}") from err


def check_statement(line, keys, what):
    """A checkpoint or a pruning: signed by a key we believe, over everything but the key and the signature."""
    signed = {name: value for name, value in line.items() if name not in ("public_key", "signature")}
    key = keys.get(line["kid"])
    if line["v"] != VERSION or key is None or not is_signed(key, canonical(signed), line["signature"]):
        raise Broken(f"entry {line['seq']}: the {what} is not signed by a key of this chain")


class Signed:
    """Keys, the last pruning, checkpoints."""

    def __init__(self, path, wanted):
        self.keys, self.chain, self.pruning, self.checkpoints = {}, None, None, {}
        for line in read_lines(path):
            if line["type"] == "key":
                self.add_key(line)
                continue
            if line["chain"] != self.chain:
                raise Broken(f"entry {line['seq']}: the {line['type']} is of another chain")
            check_statement(line, self.keys, line["type"])
            if line["type"] == "pruning":
                self.pruning = line
            else:
                self.checkpoints[line["seq"]] = line
        if not self.keys:
            raise Broken(f"{path} holds no key")
        if wanted and wanted not in self.keys:
            raise Broken(f"the key {wanted}, which you know, is not among the keys of this chain")

    def add_key(self, line):
        if hashlib.sha256(bytes.fromhex(line["public_key"])).hexdigest() != line["kid"]:
            raise Broken(f"the key {line['kid'][:16]} does not have that name")
        own = line["endorsed_by"] == line["kid"]
        endorser = line["public_key"] if own else self.keys.get(line["endorsed_by"])
        signed = {name: value for name, value in line.items() if name != "signature"}
        if endorser is None or not is_signed(endorser, canonical(signed), line["signature"]):
            raise Broken(f"the key {line['kid'][:16]} is not vouched for by the one before")
        if own and self.keys:
            print(f"note: the key {line['kid'][:16]} begins anew: compare anchors from before and after", file=sys.stderr)
        self.chain = self.chain or line["chain"]
        self.keys[line["kid"]] = line["public_key"]


# --- the chain ---


def check_entry(entry, prev):
    hashed = {name: value for name, value in entry.items() if name not in OUTSIDE}
    if prev is not None and entry["prev"] != prev:
        raise Broken("does not follow the one before it")
    if entry["v"] != VERSION:
        raise Broken(f"has version {entry['v']}, which this program does not know")
    if digest(hashed) != entry["hash"]:
        raise Broken("was changed")
    private = entry["private"]
    if private is not None and digest(private) != entry["personal"]:
        raise Broken("has other personal fields than were recorded")
    if private is None and entry["personal"] is not None and entry["erased_by"] is None:
        raise Broken("lost its personal fields, and no entry tells of that")


def check(entries, signed, anchors):
    start = signed.pruning["seq"] if signed.pruning else 0
    beginning = digest({"chain": signed.chain, "v": VERSION})
    prev, expected = (signed.pruning["hash"] if signed.pruning else beginning), start + 1
    wanted, erasures, told = {}, {}, {}
    for line in list(signed.checkpoints.values()) + anchors:
        wanted.setdefault(line["seq"], []).append(line)
    count = 0
    for entry in entries:
        seq = entry["seq"]
        where = f"entry {seq} ({entry['id']})"
        if count == 0 and seq > expected:
            print(f"note: begins at entry {seq}; what was before is not looked at", file=sys.stderr)
            prev, expected = None, seq
        if seq != expected:
            raise Broken(f"entry {expected} is missing")
        try:
            check_entry(entry, prev)
        except Broken as err:
            raise Broken(f"{where} {err}") from err
        for line in wanted.pop(seq, []):
            if line["hash"] != entry["hash"]:
                raise Broken(f"{where} has another hash than the checkpoint of {line['at']} signed")
        if entry["erased_by"] is not None:
            erasures.setdefault(entry["erased_by"], []).append((where, {entry["actor"]["id"], entry["resource"]["id"]}))
        if entry["action"] == "audit.person.erased":
            told[seq] = entry["resource"]["id"]
        if entry["action"] == "audit.key.made" and entry["resource"]["id"] not in signed.keys:
            raise Broken(f"{where} tells of a key that is missing")
        prev, expected, count = entry["hash"], seq + 1, count + 1
    for by, stripped in erasures.items():
        for where, people in stripped:
            if told.get(by) not in people:
                raise Broken(f"{where} lost its personal fields, and entry {by} does not tell of that")
    for seq in sorted(wanted):
        if seq >= expected:
            at = wanted[seq][0]["at"]
            raise Broken(f"entry {expected} is missing: a checkpoint of {at} names entry {seq}, and the chain ends at {expected - 1}")
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", help="what `baluarte audit export` printed")
    parser.add_argument("signed", help="what `baluarte audit export --checkpoints` printed")
    parser.add_argument("--anchor", action="append", default=[], help="checkpoints that you kept elsewhere")
    parser.add_argument("--key", help="the name (kid) of a key that you know to be the server's")
    args = parser.parse_args()
    try:
        signed = Signed(args.signed, args.key)
        anchors = [line for path in args.anchor for line in read_lines(path)]
        for line in anchors:
            if line["chain"] != signed.chain:
                raise Broken(f"the anchor of entry {line['seq']} is of another chain")
            check_statement(line, signed.keys, "anchor")
        count = check(read_lines(args.entries), signed, anchors)
    except Broken as err:
        print(f"the audit log does not hold: {err}")
        return 1
    print(f"chain {signed.chain}: {count} entries, {len(signed.checkpoints)} checkpoints, {len(anchors)} anchors: it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
