import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main method of one of Kafka's command-line tools inside this JVM, because a start of a JVM takes longer than most
 * of these tests. The tools end through Exit, which throws here instead.
 */
final class Tool {
  /** Some tools catch everything, and end once more because of it: the first status is the one that counts. */
  private static final class Ended extends Error {
    Ended() {
      super("ended", null, false, false);
    }
  }

  private static Integer ended;

  private Tool() {}

  static ObjectNode run(JsonNode command) throws Exception {
    List<String> args = new ArrayList<>();
    command.get("args").forEach(arg -> args.add(arg.asText()));
    byte[] input = command.path("input").asText("").getBytes(StandardCharsets.UTF_8);
    InputStream in = System.in;
    PrintStream out = System.out;
    PrintStream err = System.err;
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    ByteArrayOutputStream complained = new ByteArrayOutputStream();
    ended = null;
    Exit.Procedure note =
        (status, message) -> {
          if (ended == null) ended = status;
          throw new Ended();
        };
    Exit.setExitProcedure(note);
    Exit.setHaltProcedure(note);
    List<Runnable> hooks = new ArrayList<>();
    Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
    System.setIn(new ByteArrayInputStream(input));
    System.setOut(new PrintStream(printed, true, StandardCharsets.UTF_8));
    System.setErr(new PrintStream(complained, true, StandardCharsets.UTF_8));
    int status;
    try {
      status = main(command.get("main").asText(), args.toArray(String[]::new));
      hooks.forEach(Runnable::run); // ConsoleProducer sends its last records in one
    } finally {
      System.setIn(in);
      System.setOut(out);
      System.setErr(err);
    }
    ObjectNode answer = Driver.JSON.createObjectNode().put("status", status);
    answer.put("printed", printed.toString(StandardCharsets.UTF_8));
    return answer.put("complained", complained.toString(StandardCharsets.UTF_8));
  }

  private static int main(String name, String[] args) throws Exception {
    try {
      Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
    } catch (InvocationTargetException error) {
      if (ended == null) {
        error.getCause().printStackTrace();
        return 1;
      }
    }
    return ended == null ? 0 : ended;
  }
}
