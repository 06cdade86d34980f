import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Produces numbered records to fixed partitions until told to stop; notes what was acknowledged. */
final class Load {
  private final KafkaProducer<byte[], byte[]> producer;
  private final JsonNode command;
  private final ArrayNode acknowledged = Driver.JSON.createArrayNode();
  private final List<String> errors = new ArrayList<>();
  private final Thread thread;
  private volatile boolean running = true;
  private long sent;

  Load(KafkaProducer<byte[], byte[]> producer, JsonNode command) {
    this.producer = producer;
    this.command = command;
    thread = new Thread(this::run, "load");
    thread.setDaemon(true);
    thread.start();
  }

  private void run() {
    String name = command.get("name").asText();
    JsonNode partitions = command.get("partitions");
    int burst = command.path("burst").asInt(20);
    while (running) {
      for (int each = 0; each < burst; each++) {
        long number = sent++;
        int partition = partitions.get((int) (number % partitions.size())).asInt();
        byte[] value = (name + ":" + number + ":" + "x".repeat(100)).getBytes(StandardCharsets.UTF_8);
        producer.send(
            new ProducerRecord<>(command.get("topic").asText(), partition, name.getBytes(StandardCharsets.UTF_8), value),
            (place, error) -> {
              synchronized (errors) {
                if (error != null) errors.add(Driver.errorName(error));
                else acknowledged.addArray().add(number).add(place.partition()).add(place.offset());
              }
            });
      }
      try {
        Thread.sleep(command.path("pauseMs").asInt(1));
      } catch (InterruptedException error) {
        return;
      }
    }
  }

  ObjectNode stop() throws InterruptedException {
    running = false;
    thread.join();
    producer.close();
    ObjectNode answer = Driver.JSON.createObjectNode().put("sent", sent).put("left", 0);
    synchronized (errors) {
      answer.set("acknowledged", acknowledged);
      errors.forEach(answer.putArray("errors")::add);
    }
    return answer;
  }
}
