import io.cloudevents.CloudEvent;
import io.cloudevents.kafka.KafkaMessageFactory;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Counts what happened to the users of each tenant: a consumer of Rollcall's topics.
 *
 * <p>It keeps its totals and its offsets in one file, so it can be killed at any time and goes on where
 * it was. With {@code --until-end} it stops at the end of the topics and prints, for each tenant, the
 * changes in {@code users.events} and the successful requests in {@code users.analytics}:
 *
 * <pre>TENANT accepted CREATED UPDATED DELETED success CREATED UPDATED DELETED</pre>
 */
public final class Consumer {
    private static final Map<String, String> CHANGES =
            Map.of("user.created.v1", "created", "user.updated.v1", "updated", "user.deleted.v1", "deleted");
    private static final Map<String, String> SUCCESSES = Map.of(
            "USER_CREATE_SUCCESS", "created", "USER_UPDATE_SUCCESS", "updated", "USER_DELETE_SUCCESS", "deleted");

    private final KafkaConsumer<String, byte[]> consumer;
    private final Totals totals;

    private Consumer(String brokers, String prefix, Totals totals) {
        this.totals = totals;
        Properties settings = new Properties();
        settings.put("bootstrap.servers", brokers);
        settings.put("enable.auto.commit", "false");
        settings.put("isolation.level", "read_committed");
        consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer());
        List<TopicPartition> partitions = Stream.of(prefix + "users.events", prefix + "users.analytics")
                .flatMap(topic -> consumer.partitionsFor(topic).stream())
                .map(found -> new TopicPartition(found.topic(), found.partition()))
                .toList();
        consumer.assign(partitions);
        partitions.forEach(partition -> consumer.seek(partition, totals.next(partition)));
    }

    public static void main(String[] arguments) throws IOException {
        List<String> given = new ArrayList<>(List.of(arguments));
        boolean isUntilEnd = given.remove("--until-end");
        if (given.size() < 2 || given.size() > 3) {
            System.err.println("usage: Consumer BROKERS STATE-FILE [TOPIC-PREFIX] [--until-end]");
            System.exit(2);
        }
        Totals totals = new Totals(Path.of(given.get(1)));
        Consumer consumer = new Consumer(given.get(0), given.size() == 3 ? given.get(2) : "", totals);
        System.err.println(consumer.consume(isUntilEnd) + " records");
        totals.print(System.out);
    }

    /** Counts until there is nothing left, or for ever. Returns how many records there were. */
    private long consume(boolean isUntilEnd) throws IOException {
        long records = 0;
        while (!(isUntilEnd && isAtEnd())) {
            var batch = consumer.poll(Duration.ofSeconds(1));
            for (ConsumerRecord<String, byte[]> record : batch) {
                take(record);
            }
            if (!batch.isEmpty()) {
                records += batch.count();
                totals.save();
            }
        }
        return records;
    }

    /** The end of what is committed. Its last record may be a control record, which is never returned. */
    private boolean isAtEnd() {
        Map<TopicPartition, Long> ends = consumer.endOffsets(consumer.assignment());
        Set<TopicPartition> behind = new HashSet<>(consumer.assignment());
        behind.removeIf(partition -> consumer.position(partition) >= ends.get(partition));
        return behind.isEmpty();
    }

    private void take(ConsumerRecord<String, byte[]> record) {
        try {
            count(record.key(), KafkaMessageFactory.createReader(record).toEvent());
        } catch (RuntimeException error) {
            // Foreign records have no effect in Rollcall either.
            System.err.println(record.topic() + " " + record.partition() + ":" + record.offset() + ": " + error);
        }
        totals.read(new TopicPartition(record.topic(), record.partition()), record.offset());
    }

    private void count(String key, CloudEvent event) {
        String tenant = String.valueOf(event.getExtension("tenantid"));
        if (CHANGES.containsKey(event.getType()) && accepts(key, event)) {
            totals.add(tenant, "accepted", CHANGES.get(event.getType()));
        }
        if (SUCCESSES.containsKey(event.getType())) {
            totals.add(tenant, "success", SUCCESSES.get(event.getType()));
        }
    }

    /** The rule of the log: an event counts if its sequence is the user's version + 1. */
    private boolean accepts(String key, CloudEvent event) {
        long before = totals.version(key);
        long sequence = Long.parseLong(String.valueOf(event.getExtension("sequence")));
        if (before == Totals.DELETED || sequence != before + 1) {
            return false; // superseded: another writer was first
        }
        boolean isDeleted = event.getType().equals("user.deleted.v1");
        totals.setVersion(key, isDeleted ? Totals.DELETED : sequence);
        return true;
    }
}
