"""Reads Rollcall's topics by their documentation alone and folds them: a consumer that shares no code with the service.

Prints one JSON object: `users` by key with version and whether there is a user whose personal part is sealed (false once deleted),
`credentials` by key (ids), and every broken promise under `violations`. It has no keys, so what is personal stays closed to it.
"""

import argparse
import json
import pathlib
import uuid

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from jsonschema import Draft202012Validator, FormatChecker

TYPES = {
    "users.events": {"user.created.v1", "user.updated.v1", "user.deleted.v1"},
    "users.credentials": {"credential.issued.v1", "credential.status-changed.v1"},
}
SEALED = {"user.created.v1", "user.updated.v1"}
REQUIRED = ["ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_specversion", "ce_dataschema", "content-type", "ce_tenantid"]


def murmur2(data: bytes) -> int:
    """MurmurHash2 with the seed of Kafka's Java clients."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * m & mask
        k = (k ^ k >> 24) * m & mask
        h = h * m & mask ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return h ^ h >> 15


def records(brokers: str, topic: str):
    """Every committed record of a topic with the number of partitions, in the order of each partition."""
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": "foreign-client",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    })
    partitions = set(consumer.list_topics(topic, timeout=60).topics[topic].partitions)
    count = len(partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    while partitions:
        message = consumer.poll(60)
        if message is None:
            raise SystemExit(f"{topic} can't be read")
        if message.error() is None:
            yield message, count
        elif message.error().code() == KafkaError._PARTITION_EOF:
            partitions.discard(message.partition())
        else:
            raise SystemExit(str(message.error()))
    consumer.close()


class Reader:
    """Checks each record's promises and keeps what follows from it."""

    def __init__(self, schemas: pathlib.Path):
        self.schemas = schemas
        self.validators = {}
        self.users, self.credentials, self.violations = {}, {}, []

    def read(self, topic: str, message, partitions: int):
        key = message.key().decode()
        headers = {name: (value or b"").decode() for name, value in message.headers() or []}
        problems = list(self.problems(topic, key, headers, message, partitions))
        self.violations += [f"{topic} {message.partition()}:{message.offset()} {key}: {problem}" for problem in problems]
        if not problems:
            fold = self.fold_user if topic == "users.events" else self.fold_credential
            fold(key, headers, json.loads(message.value()))

    def problems(self, topic: str, key: str, headers: dict, message, partitions: int):
        tenant, _, user = key.partition("/")
        if (murmur2(key.encode()) & 0x7FFFFFFF) % partitions != message.partition():
            yield "not the partition of its key"
        yield from (f"no {name}" for name in REQUIRED if name not in headers)
        if headers.get("ce_type") not in TYPES[topic]:
            yield f"type {headers.get('ce_type')}"
            return
        if (headers.get("ce_tenantid"), headers.get("ce_subject")) != (tenant, user):
            yield "headers name another user than the key"
        if (topic == "users.events") != ("ce_sequence" in headers):
            yield "user facts have a sequence, credential facts have none"
        if (headers.get("ce_type") in SEALED) != ("ce_keyid" in headers):
            yield "what is sealed names its key, and nothing else does"
        if str(uuid.UUID(user)) != user:
            yield "the key's uuid is not in its plain form"
        data = json.loads(message.value())
        yield from (f"data: {error.message}" for error in self.validator(headers["ce_type"]).iter_errors(data))

    def validator(self, ce_type: str):
        if ce_type not in self.validators:
            schema = json.loads((self.schemas / f"{ce_type}.json").read_text())
            self.validators[ce_type] = Draft202012Validator(schema, format_checker=FormatChecker())
        return self.validators[ce_type]

    def fold_user(self, key: str, headers: dict, data: dict):
        """Accepted if and only if the sequence is the version + 1; deleted is for ever."""
        before = self.users.get(key, {"version": 0, "sealed": True})
        if int(headers["ce_sequence"]) != before["version"] + 1 or not before["sealed"]:
            return
        sealed = headers["ce_type"] != "user.deleted.v1"
        self.users[key] = {"version": before["version"] + 1, "sealed": sealed}

    def fold_credential(self, key: str, headers: dict, data: dict):
        if headers["ce_type"] == "credential.issued.v1" and data["id"] not in self.credentials.setdefault(key, []):
            self.credentials[key].append(data["id"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--brokers", required=True)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--schemas", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    reader = Reader(arguments.schemas)
    for topic in TYPES:
        for message, partitions in records(arguments.brokers, arguments.prefix + topic):
            reader.read(topic, message, partitions)
    print(json.dumps({"users": reader.users, "credentials": reader.credentials, "violations": reader.violations}))


if __name__ == "__main__":
    main()
