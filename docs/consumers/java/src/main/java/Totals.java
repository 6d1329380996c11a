import java.io.FileOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.common.TopicPartition;

/** The counts and the next offsets, saved together, so that neither is ever ahead of the other. */
final class Totals {
    static final long DELETED = -1;
    private static final List<String> KINDS = List.of("created", "updated", "deleted");

    private final Path path;
    private final Properties values = new Properties();

    Totals(Path path) throws IOException {
        this.path = path;
        if (Files.exists(path)) {
            try (Reader reader = Files.newBufferedReader(path)) {
                values.load(reader);
            }
        }
    }

    long next(TopicPartition partition) {
        return get("next " + partition);
    }

    void read(TopicPartition partition, long offset) {
        set("next " + partition, offset + 1);
    }

    long version(String key) {
        return get("version " + key);
    }

    void setVersion(String key, long version) {
        set("version " + key, version);
    }

    void add(String tenant, String what, String kind) {
        set("tenant " + tenant, 1);
        String name = String.join(" ", "count", tenant, what, kind);
        set(name, get(name) + 1);
    }

    void save() throws IOException {
        Path partial = path.resolveSibling(path.getFileName() + ".partial");
        try (FileOutputStream file = new FileOutputStream(partial.toFile())) {
            values.store(file, null);
            file.getFD().sync();
        }
        Files.move(partial, path, StandardCopyOption.ATOMIC_MOVE);
    }

    void print(PrintStream out) {
        values.stringPropertyNames().stream()
                .filter(name -> name.startsWith("tenant "))
                .map(name -> name.substring("tenant ".length()))
                .sorted()
                .forEach(tenant -> out.println(tenant + counts(tenant, "accepted") + counts(tenant, "success")));
    }

    private String counts(String tenant, String what) {
        return KINDS.stream()
                .map(kind -> " " + get(String.join(" ", "count", tenant, what, kind)))
                .collect(Collectors.joining("", " " + what, ""));
    }

    private long get(String name) {
        return Long.parseLong(values.getProperty(name, "0"));
    }

    private void set(String name, long value) {
        values.setProperty(name, Long.toString(value));
    }
}
