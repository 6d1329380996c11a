"""Counts what happened to the users of each tenant: a consumer of Rollcall's topics.

It keeps its totals and its offsets in one file, so it can be killed at any time and goes on where it was.
It stops at the end of the topics with --until-end, and otherwise runs until Ctrl-C. Then it prints, for
each tenant, the changes in `users.events` and the successful requests in `users.analytics`:

    TENANT accepted CREATED UPDATED DELETED success CREATED UPDATED DELETED
"""

import argparse
import json
import os
import pathlib
import sys

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

KINDS = ["created", "updated", "deleted"]
CHANGES = {"user.created.v1": "created", "user.updated.v1": "updated", "user.deleted.v1": "deleted"}
SUCCESSES = {"USER_CREATE_SUCCESS": "created", "USER_UPDATE_SUCCESS": "updated", "USER_DELETE_SUCCESS": "deleted"}
DELETED = -1
SAVE_EVERY = 1000  # records


class Totals:
    """The counts and the next offsets, saved together, so that neither is ever ahead of the other."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        saved = json.loads(path.read_text()) if path.exists() else {}
        self.next = saved.get("next", {})  # offset, by "topic/partition"
        self.versions = saved.get("versions", {})  # by key
        self.tenants = saved.get("tenants", {})

    def accepts(self, event) -> bool:
        """The rule of the log: an event counts if its sequence is the user's version + 1."""
        key, sequence = event.get_extension("partitionkey"), int(event.get_extension("sequence"))
        before = self.versions.get(key, 0)
        if before == DELETED or sequence != before + 1:
            return False  # superseded: another writer was first
        is_deleted = event.get_type() == "user.deleted.v1"
        self.versions[key] = DELETED if is_deleted else sequence
        return True

    def take(self, event):
        if event.get_type() in CHANGES and self.accepts(event):
            self.count("accepted", event, CHANGES[event.get_type()])
        if event.get_type() in SUCCESSES:
            self.count("success", event, SUCCESSES[event.get_type()])

    def count(self, what: str, event, kind: str):
        nothing = {"accepted": dict.fromkeys(KINDS, 0), "success": dict.fromkeys(KINDS, 0)}
        self.tenants.setdefault(event.get_extension("tenantid"), nothing)[what][kind] += 1

    def save(self):
        partial = self.path.with_suffix(".partial")
        with open(partial, "w") as file:
            json.dump({"next": self.next, "versions": self.versions, "tenants": self.tenants}, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)

    def print(self):
        for tenant, counted in sorted(self.tenants.items()):
            columns = [[what, *(counted[what][kind] for kind in KINDS)] for what in ("accepted", "success")]
            print(tenant, *columns[0], *columns[1])


def subscribe(arguments, totals: Totals):
    """A consumer of all partitions from where the totals end, and how many partitions there are."""
    consumer = Consumer({
        "bootstrap.servers": arguments.brokers,
        "group.id": "unused: the offsets are in the file",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
    })
    partitions = []
    for topic in (arguments.prefix + "users.events", arguments.prefix + "users.analytics"):
        for partition in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            offset = totals.next.get(f"{topic}/{partition}", OFFSET_BEGINNING)
            partitions.append(TopicPartition(topic, partition, offset))
    consumer.assign(partitions)
    return consumer, len(partitions)


def read(message):
    """The CloudEvent of a record. None if it is none: foreign records have no effect in Rollcall either."""
    headers = {name: value or b"" for name, value in message.headers() or []}
    try:
        return from_binary(KafkaMessage(headers, message.key(), message.value()), JSONFormat())
    except Exception as error:  # noqa: BLE001, whatever is wrong with it
        print(f"{message.topic()} {message.partition()}:{message.offset()}: {error}", file=sys.stderr)
        return None


def consume(consumer, totals: Totals, partitions: int, until_end: bool) -> int:
    """Counts until there is nothing left, or for ever. Returns how many records there were."""
    ended, records, unsaved = set(), 0, 0
    while not (until_end and len(ended) == partitions):
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            if (event := read(message)) is not None:
                totals.take(event)
            totals.next[f"{message.topic()}/{message.partition()}"] = message.offset() + 1
            records, unsaved = records + 1, unsaved + 1
        elif message is not None and message.error().code() == KafkaError._PARTITION_EOF:
            ended.add((message.topic(), message.partition()))
        elif message is not None and message.error().fatal():
            raise SystemExit(str(message.error()))
        if unsaved >= SAVE_EVERY or (unsaved and message is None):
            totals.save()
            unsaved = 0
    totals.save()
    return records


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", required=True, help="KAFKA_BROKERS of the deployment")
    parser.add_argument("--prefix", default="", help="ROLLCALL_TOPIC_PREFIX of the deployment")
    parser.add_argument("--state", type=pathlib.Path, required=True, help="the file of totals and offsets")
    parser.add_argument("--until-end", action="store_true", help="stop at the end of the topics")
    arguments = parser.parse_args()
    totals = Totals(arguments.state)
    consumer, partitions = subscribe(arguments, totals)
    try:
        records = consume(consumer, totals, partitions, arguments.until_end)
        print(f"{records} records", file=sys.stderr)
    except KeyboardInterrupt:
        totals.save()
    totals.print()


if __name__ == "__main__":
    main()
