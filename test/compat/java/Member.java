import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A group member that polls in a thread of its own until it leaves. Only that thread touches the consumer. */
final class Member implements ConsumerRebalanceListener {
  private final BlockingQueue<ObjectNode> records = new LinkedBlockingQueue<>();
  private final BlockingQueue<String> orders = new LinkedBlockingQueue<>();
  private final SynchronousQueue<ObjectNode> answers = new SynchronousQueue<>();
  private final TreeSet<String> assigned = new TreeSet<>();

  Member(String bootstrap, JsonNode command) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("group.id", command.get("group").asText());
    settings.put("group.protocol", "classic");
    settings.put("auto.offset.reset", "earliest");
    settings.put("enable.auto.commit", false);
    settings.put("session.timeout.ms", command.path("sessionTimeoutMs").asInt(6_000));
    settings.put("heartbeat.interval.ms", 500);
    settings.put("partition.assignment.strategy", assignor(command.path("assignor").asText("range")));
    if (command.hasNonNull("instance")) settings.put("group.instance.id", command.get("instance").asText());
    List<String> topics = new ArrayList<>();
    command.get("topics").forEach(topic -> topics.add(topic.asText()));
    Thread thread = new Thread(() -> run(settings, topics), command.get("member").asText());
    thread.setDaemon(true);
    thread.start();
  }

  private static String assignor(String name) {
    String folder = "org.apache.kafka.clients.consumer.";
    switch (name) {
      case "cooperative": return folder + "CooperativeStickyAssignor";
      case "roundrobin": return folder + "RoundRobinAssignor";
      default: return folder + "RangeAssignor";
    }
  }

  private void run(Properties settings, List<String> topics) {
    var bytes = new ByteArrayDeserializer();
    KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings, bytes, bytes);
    consumer.subscribe(topics, this);
    boolean running = true;
    while (running) {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(50))) {
        records.add(Driver.found(record));
      }
      String order = orders.poll();
      if (order == null) continue;
      running = !order.equals("leave");
      ObjectNode answer = Driver.JSON.createObjectNode();
      try {
        if (running) commit(consumer);
        else consumer.close();
      } catch (RuntimeException error) {
        answer.put("error", error.toString());
      }
      offer(answer);
    }
  }

  private void offer(ObjectNode answer) {
    try {
      answers.offer(answer, Driver.PATIENCE.toSeconds(), TimeUnit.SECONDS);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private void commit(KafkaConsumer<byte[], byte[]> consumer) {
    Map<TopicPartition, OffsetAndMetadata> places = new HashMap<>();
    for (TopicPartition place : consumer.assignment()) {
      places.put(place, new OffsetAndMetadata(consumer.position(place)));
    }
    consumer.commitSync(places);
  }

  ObjectNode order(String order) throws InterruptedException {
    orders.add(order);
    ObjectNode answer = answers.poll(Driver.PATIENCE.toSeconds(), TimeUnit.SECONDS);
    if (answer == null) throw new IllegalStateException(order + " took too long");
    return answer;
  }

  ObjectNode assignment() {
    ObjectNode answer = Driver.JSON.createObjectNode();
    var partitions = answer.putArray("partitions");
    synchronized (assigned) {
      for (String place : assigned) {
        String[] parts = place.split("/");
        partitions.addArray().add(parts[0]).add(Integer.parseInt(parts[1]));
      }
    }
    return answer;
  }

  ObjectNode take() {
    List<ObjectNode> taken = new ArrayList<>();
    records.drainTo(taken);
    ObjectNode answer = Driver.JSON.createObjectNode();
    answer.putArray("records").addAll(taken);
    return answer;
  }

  @Override
  public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
    synchronized (assigned) {
      for (TopicPartition each : partitions) assigned.add(each.topic() + "/" + each.partition());
    }
  }

  @Override
  public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
    synchronized (assigned) {
      for (TopicPartition each : partitions) assigned.remove(each.topic() + "/" + each.partition());
    }
  }
}
