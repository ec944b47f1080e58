#!/usr/bin/env python3
"""Checks an export of Baluarte's audit log without Baluarte, and without trusting the server it came from.

    baluarte audit export               > entries.ndjson
    baluarte audit export --checkpoints > signed.ndjson
    python3 verify.py entries.ndjson signed.ndjson [--anchor anchors.jsonl] [--key KID]

With `--batches FILE` (what `baluarte audit export --batches` printed) also that every batch of the gateway's calls is what its entry tells of;
export the entries first. With `--call FILE` (what `baluarte audit proof CALL` printed) also that this call of the gateway is in the chain; docs/audit-calls.md says how.

Needs Python 3.9 and nothing else; with the package `cryptography` the signatures are checked faster.
What is computed here, and why, is told in docs/audit.md. Exit code 0: it holds. 1: it does not; the first broken entry is named.
"""

import argparse
import hashlib
import ipaddress
import json
import sys
from datetime import datetime, timedelta, timezone

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


# --- a recorded call of the gateway (docs/audit-calls.md) ---


def climb(data, index, count, path):
    """From a leaf to the root of a tree as in RFC 6962; None where the path does not fit."""
    value, path = hashlib.sha256(b"\0" + data).digest(), [bytes.fromhex(beside) for beside in path]
    if not 0 <= index < count:
        return None
    while count > 1:
        if index ^ 1 < count:
            if not path:
                return None
            beside = path.pop(0)
            left, right = (beside, value) if index % 2 else (value, beside)
            value = hashlib.sha256(b"\1" + left + right).digest()
        index, count = index // 2, (count + 1) // 2
    return None if path else value.hex()


def root(leaves):
    """Level by level: neighbours are joined, who has none goes up as it is."""
    level = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) - len(level) % 2 :]
    return (level[0] if level else hashlib.sha256(b"").digest()).hex()


# Batches that were written while the entries were exported, or since, may be unknown to these.
MEANWHILE = 5 * 60 * 1000


def made_at(name):
    """When a batch was made, in milliseconds: it is named with a UUID of version 7."""
    return int(name.removeprefix("cal_")[:12], 16)


def check_batches(path, told, anonymised):
    """`told`: the entries of batches by their names. `anonymised`: before when addresses are erased, as the log says."""
    seen, calls = set(), 0
    known_until = max(map(made_at, told), default=0) - MEANWHILE
    for line in read_lines(path):
        name, entry = line["batch"], told.get(line["batch"])
        if entry is None and made_at(name) > known_until:
            print(f"note: the recorded calls {name} are newer than the entries, and not looked at", file=sys.stderr)
            continue
        if entry is None:
            raise Broken(f"no entry tells of the recorded calls {name}: somebody put them in")
        where, details = f"entry {entry['seq']} ({entry['id']}) tells of the calls {name}", entry["details"]
        records = [bytes.fromhex(record) for record in line["records"]]
        if not len(records) == line["calls"] == details["calls"]:
            raise Broken(f"{where}, {details['calls']} of them, and there are {len(records)}")
        if root(records) != details["root"]:
            raise Broken(f"{where}, whose records were changed")
        if line["private"] is not None:
            if root([bytes.fromhex(part) for part in line["private"]]) != details["private_root"]:
                raise Broken(f"{where}, whose addresses or user agents were changed")
        elif anonymised is None or parse_moment(details["last_at"]) >= anonymised:
            raise Broken(f"{where}, which lost their addresses and user agents, and no entry tells of that")
        seen.add(name)
        calls += len(records)
    for name, entry in told.items():
        if name not in seen:
            raise Broken(f"entry {entry['seq']} ({entry['id']}) tells of the calls {name}, which are missing")
    return calls


def read_record(data):
    """What the bytes of a call say, by the names of the API."""
    if data[0] != 1:
        raise Broken("the call has a version that this program does not know")
    flags, at = data[1], 29
    number = lambda begin, end: int.from_bytes(data[begin:end], "big")
    moment = datetime.fromtimestamp(0, timezone.utc) + timedelta(microseconds=int.from_bytes(data[5:13], "big", signed=True))
    call = {
        "credential": (None, "access_token", "session", "api_key")[data[2]],
        "status": number(3, 5),
        "at": moment,
        "latency_us": number(13, 21),
        "bytes": number(21, 29),
        "aborted": bool(flags & 1),
        "cut": bool(flags & 2),
        "user_id": None,
        "session_id": None,
    }
    for flag, name, prefix in ((4, "user_id", "usr_"), (8, "session_id", "ses_")):
        if flags & flag:
            call[name], at = prefix + data[at : at + 16].hex(), at + 16
    for name in ("request_id", "method", "host", "path", "route", "upstream"):
        end = at + 2 + number(at, at + 2)
        call[name], at = data[at + 2 : end].decode(), end
    if at != len(data):
        raise Broken("the call's bytes do not end where they should")
    return call


def check_call(proof, entry):
    where = f"the call {proof['call']['id']}"
    if entry is None:
        raise Broken(f"{where} is not in a batch that an entry tells of")
    details, record = entry["details"], bytes.fromhex(proof["record"])
    if details["calls"] != proof["calls"] or climb(record, proof["index"], proof["calls"], proof["path"]) != details["root"]:
        raise Broken(f"{where} is not under the root in entry {entry['seq']}")
    if proof["call"]["id"] != f"{proof['batch']}.{proof['index']}":
        raise Broken(f"{where} has another name than its place")
    shown, said = dict(proof["call"]), read_record(record)
    shown["at"] = parse_moment(shown["at"])
    shown["latency_us"] = round(shown["latency_ms"] * 1000)
    for name, value in said.items():
        if shown[name] != value:
            raise Broken(f"{where} is shown with another {name} than was recorded")
    if proof["private"] is None:
        if shown["ip"] is not None or shown["user_agent"] is not None:
            raise Broken(f"{where} is shown with an address of which there is no proof")
        return
    private = bytes.fromhex(proof["private"])
    if climb(private, proof["index"], proof["calls"], proof["private_path"]) != details["private_root"]:
        raise Broken(f"{where}: its address and user agent are not under the root in entry {entry['seq']}")
    ip, agent = private[17 : 17 + private[16]], private[19 + private[16] :]
    if str(ipaddress.ip_address(ip)) != shown["ip"] or agent.decode(errors="replace") != shown["user_agent"]:
        raise Broken(f"{where} is shown with another address or user agent than was recorded")


def parse_moment(text):
    """RFC 3339 with any number of digits after the point, which Python before 3.11 does not read."""
    whole, _, rest = text.rstrip("Z").partition(".")
    at = datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    return at + timedelta(microseconds=int((rest + "000000")[:6]))


def check(entries, signed, anchors, batches, anonymised):
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
            erasures.setdefault(entry["erased_by"], []).append((where, seq, (entry["actor"]["id"], entry["resource"]["id"])))
        if entry["action"] == "audit.person.erased":
            told[seq] = entry["resource"]["id"]
        if entry["action"] == "audit.call.recorded":
            batches[entry["resource"]["id"]] = entry
        if entry["action"] == "audit.call.anonymised":
            anonymised.append(parse_moment(entry["details"]["before"]))
        if entry["action"] == "audit.key.made" and entry["resource"]["id"] not in signed.keys:
            raise Broken(f"{where} tells of a key that is missing")
        prev, expected, count = entry["hash"], seq + 1, count + 1
    for by, stripped in erasures.items():
        for where, seq, people in stripped:
            # Later, and about a person: an entry about nobody has None for everybody.
            if by < seq or by not in told or told[by] is None or told[by] not in people:
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
    parser.add_argument("--call", action="append", default=[], help="what `baluarte audit proof CALL` printed")
    parser.add_argument("--batches", help="what `baluarte audit export --batches` printed, after the entries were exported")
    args = parser.parse_args()
    try:
        signed = Signed(args.signed, args.key)
        anchors = [line for path in args.anchor for line in read_lines(path)]
        for line in anchors:
            if line["chain"] != signed.chain:
                raise Broken(f"the anchor of entry {line['seq']} is of another chain")
            check_statement(line, signed.keys, "anchor")
        proofs = [json.load(open(path, encoding="utf-8")) for path in args.call]
        batches, anonymised = {}, []
        count = check(read_lines(args.entries), signed, anchors, batches, anonymised)
        for proof in proofs:
            check_call(proof, batches.get(proof["batch"]))
            print(f"the call {proof['call']['id']} is in the chain")
        if args.batches:
            calls = check_batches(args.batches, batches, max(anonymised, default=None))
            print(f"{calls} recorded calls are what their entries tell of")
    except Broken as err:
        print(f"the audit log does not hold: {err}")
        return 1
    last = max(signed.checkpoints, default=0)
    print(f"signed up to entry {last}" if last else "no checkpoint signs any of it: only an anchor tells whether all of it was made anew")
    print(f"chain {signed.chain}: {count} entries, {len(signed.checkpoints)} checkpoints, {len(anchors)} anchors: it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
