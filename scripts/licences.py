"""Reads `cargo metadata` from stdin and reports dependencies whose licence, name or origin deny.toml forbids."""

import json
import pathlib
import re
import sys
import tomllib

RULES = tomllib.loads((pathlib.Path(__file__).parent.parent / "deny.toml").read_text())
LICENCES = set(RULES["licenses"]["allow"])
BANNED = {rule["crate"] for rule in RULES["bans"]["deny"]}
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


class Expression:
    """An SPDX expression. It is allowed if one of its alternatives is. `AND` binds more tightly than `OR`."""

    def __init__(self, text):
        text = re.sub(r"\s+WITH\s+", "\0", text.replace("/", " OR "))
        self.words = re.findall(r"[()]|[^\s()]+", text)

    def is_allowed(self):
        return self.some()

    def some(self):
        allowed = self.every()
        while self.take("OR"):
            allowed = self.every() or allowed
        return allowed

    def every(self):
        allowed = self.single()
        while self.take("AND"):
            allowed = self.single() and allowed
        return allowed

    def single(self):
        if self.take("("):
            allowed = self.some()
            self.take(")")
            return allowed
        return self.words.pop(0).replace("\0", " WITH ") in LICENCES

    def take(self, word):
        if self.words[:1] == [word]:
            return self.words.pop(0)
        return None


def objections(package):
    if not Expression(package["license"] or "unknown").is_allowed():
        yield f"licence {package['license']}"
    if package["name"] in BANNED:
        yield "banned"
    if package["source"] != REGISTRY:
        yield f"from {package['source']}"


def main():
    metadata = json.load(sys.stdin)
    # The list of packages also has those of other platforms and unused features; the graph has not.
    used = {node["id"] for node in metadata["resolve"]["nodes"]}
    packages = [package for package in metadata["packages"] if package["source"] and package["id"] in used]
    refused = [(package, objection) for package in packages for objection in objections(package)]
    for package, objection in refused:
        print(f"deny: {package['name']} {package['version']}: {objection}", file=sys.stderr)
    print(f"deny: {len(packages)} dependencies, {len(refused)} objections", file=sys.stderr)
    return bool(refused)


sys.exit(main())
