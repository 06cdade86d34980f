import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** The driver's admin commands. */
final class AdminCalls {
  private final Admin admin;

  AdminCalls(String bootstrap) {
    admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
  }

  ObjectNode serve(JsonNode command) throws Exception {
    switch (command.get("do").asText()) {
      case "createTopics": return createTopics(command.get("topics"));
      case "deleteTopics": return results(admin.deleteTopics(texts(command.get("names"))).topicNameValues());
      case "createPartitions": return createPartitions(command);
      case "listTopics": return listTopics();
      case "describeConfigs": return describeConfigs(resource(command));
      case "alterConfigs": return alterConfigs(command);
      case "listGroups": return listGroups();
      case "describeGroup": return describeGroup(command.get("group").asText());
      case "deleteGroups": return results(admin.deleteConsumerGroups(texts(command.get("groups"))).deletedGroups());
      case "groupOffsets": return groupOffsets(command.get("group").asText());
      case "setGroupOffsets": return setGroupOffsets(command);
      case "deleteGroupOffsets": return deleteGroupOffsets(command);
      case "deleteRecords": return deleteRecords(command);
      case "listOffsets": return listOffsets(command);
      case "describeCluster": return describeCluster();
      default: return answer().put("unsupported", true);
    }
  }

  private static ObjectNode answer() {
    return Driver.JSON.createObjectNode();
  }

  private static List<String> texts(JsonNode array) {
    List<String> all = new ArrayList<>();
    array.forEach(each -> all.add(each.asText()));
    return all;
  }

  private static ObjectNode results(Map<?, KafkaFuture<Void>> futures) throws InterruptedException {
    ObjectNode answer = answer();
    ObjectNode results = answer.putObject("results");
    for (var each : futures.entrySet()) {
      try {
        each.getValue().get();
        results.putNull(each.getKey().toString());
      } catch (java.util.concurrent.ExecutionException error) {
        results.put(each.getKey().toString(), Driver.errorName(error));
      }
    }
    return answer;
  }

  private ObjectNode createTopics(JsonNode topics) throws Exception {
    List<NewTopic> wanted = new ArrayList<>();
    for (JsonNode topic : topics) {
      Map<String, String> configs = new HashMap<>();
      topic.path("configs").fields().forEachRemaining(each -> configs.put(each.getKey(), each.getValue().asText()));
      Optional<Integer> partitions = Optional.of(topic.path("partitions").asInt(-1));
      short copies = (short) topic.path("replicationFactor").asInt(-1);
      wanted.add(new NewTopic(topic.get("name").asText(), partitions, Optional.of(copies)).configs(configs));
    }
    return results(admin.createTopics(wanted).values());
  }

  private ObjectNode createPartitions(JsonNode command) throws Exception {
    NewPartitions wanted = NewPartitions.increaseTo(command.get("total").asInt());
    return results(admin.createPartitions(Map.of(command.get("topic").asText(), wanted)).values());
  }

  private ObjectNode listTopics() throws Exception {
    Set<String> names = admin.listTopics().names().get();
    ObjectNode answer = answer();
    ObjectNode topics = answer.putObject("topics");
    admin.describeTopics(names).allTopicNames().get().forEach((name, each) -> topics.put(name, each.partitions().size()));
    return answer;
  }

  private static ConfigResource resource(JsonNode command) {
    boolean broker = command.get("type").asText().equals("broker");
    var type = broker ? ConfigResource.Type.BROKER : ConfigResource.Type.TOPIC;
    return new ConfigResource(type, command.get("name").asText());
  }

  private ObjectNode describeConfigs(ConfigResource resource) throws Exception {
    ObjectNode answer = answer();
    ObjectNode configs = answer.putObject("configs");
    var all = admin.describeConfigs(List.of(resource)).all().get().get(resource);
    for (ConfigEntry entry : all.entries()) configs.put(entry.name(), entry.value());
    return answer;
  }

  private ObjectNode alterConfigs(JsonNode command) throws Exception {
    Collection<AlterConfigOp> changes = new ArrayList<>();
    command.path("set").fields().forEachRemaining(each -> changes.add(new AlterConfigOp(
        new ConfigEntry(each.getKey(), each.getValue().asText()), AlterConfigOp.OpType.SET)));
    for (JsonNode name : command.path("unset")) {
      changes.add(new AlterConfigOp(new ConfigEntry(name.asText(), ""), AlterConfigOp.OpType.DELETE));
    }
    return results(admin.incrementalAlterConfigs(Map.of(resource(command), changes)).values());
  }

  private ObjectNode listGroups() throws Exception {
    ObjectNode answer = answer();
    var groups = answer.putArray("groups");
    for (GroupListing each : admin.listGroups(new ListGroupsOptions()).all().get()) groups.add(each.groupId());
    return answer;
  }

  private ObjectNode describeGroup(String group) throws Exception {
    try {
      var found = admin.describeConsumerGroups(List.of(group)).all().get().get(group);
      String state = found.groupState().name().toLowerCase().replace("_", "");
      return answer().put("state", state).put("members", found.members().size());
    } catch (java.util.concurrent.ExecutionException error) {
      if (!Driver.errorName(error).equals("GROUP_ID_NOT_FOUND")) throw error;
      return answer().put("state", "dead").put("members", 0);
    }
  }

  private ObjectNode groupOffsets(String group) throws Exception {
    ObjectNode answer = answer();
    ObjectNode offsets = answer.putObject("offsets");
    var found = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
    found.forEach((place, offset) -> {
      if (offset == null) return;
      offsets.withObject("/" + place.topic()).put(Integer.toString(place.partition()), offset.offset());
    });
    return answer;
  }

  private ObjectNode setGroupOffsets(JsonNode command) throws Exception {
    Map<TopicPartition, OffsetAndMetadata> places = new HashMap<>();
    offsetsOf(command).forEach((place, offset) -> places.put(place, new OffsetAndMetadata(offset)));
    admin.alterConsumerGroupOffsets(command.get("group").asText(), places).all().get();
    return answer();
  }

  private static Map<TopicPartition, Long> offsetsOf(JsonNode command) {
    String topic = command.get("topic").asText();
    Map<TopicPartition, Long> all = new HashMap<>();
    command.get("offsets").fields().forEachRemaining(each ->
        all.put(new TopicPartition(topic, Integer.parseInt(each.getKey())), each.getValue().asLong()));
    return all;
  }

  private ObjectNode deleteGroupOffsets(JsonNode command) throws Exception {
    Set<TopicPartition> places = new HashSet<>();
    for (JsonNode partition : command.get("partitions")) {
      places.add(new TopicPartition(command.get("topic").asText(), partition.asInt()));
    }
    admin.deleteConsumerGroupOffsets(command.get("group").asText(), places).all().get();
    return answer();
  }

  private ObjectNode deleteRecords(JsonNode command) throws Exception {
    Map<TopicPartition, RecordsToDelete> wanted = new HashMap<>();
    offsetsOf(command).forEach((place, offset) -> wanted.put(place, RecordsToDelete.beforeOffset(offset)));
    ObjectNode answer = answer();
    ObjectNode lows = answer.putObject("lows");
    for (var each : admin.deleteRecords(wanted).lowWatermarks().entrySet()) {
      lows.put(Integer.toString(each.getKey().partition()), each.getValue().get().lowWatermark());
    }
    return answer;
  }

  private ObjectNode listOffsets(JsonNode command) throws Exception {
    String topic = command.get("topic").asText();
    OffsetSpec spec = spec(command.get("at"));
    Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
    var described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
    described.partitions().forEach(each -> wanted.put(new TopicPartition(topic, each.partition()), spec));
    ObjectNode answer = answer();
    ObjectNode offsets = answer.putObject("offsets");
    admin.listOffsets(wanted).all().get().forEach((place, found) ->
        offsets.put(Integer.toString(place.partition()), found.offset()));
    return answer;
  }

  private static OffsetSpec spec(JsonNode at) {
    if (at.isNumber()) return OffsetSpec.forTimestamp(at.asLong());
    switch (at.asText()) {
      case "earliest": return OffsetSpec.earliest();
      case "max": return OffsetSpec.maxTimestamp();
      default: return OffsetSpec.latest();
    }
  }

  private ObjectNode describeCluster() throws Exception {
    var found = admin.describeCluster();
    ObjectNode answer = answer().put("clusterId", found.clusterId().get());
    return answer.put("brokers", found.nodes().get().size()).put("controller", found.controller().get().id());
  }
}
