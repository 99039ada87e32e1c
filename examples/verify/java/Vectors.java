import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.source.ImmutableJWKSet;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jose.util.JSONObjectUtils;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs Verify over the vectors: java Vectors DIRECTORY. Prints for each what
 * became of it, as one line of JSON.
 */
public final class Vectors {
    public static void main(String[] args) throws Exception {
        var keys = new ImmutableJWKSet<SecurityContext>(JWKSet.parse(Files.readString(Path.of(args[0], "jwks.json"))));
        Map<String, Object> file = JSONObjectUtils.parse(Files.readString(Path.of(args[0], "vectors.json")));
        for (Object one : (List<?>) file.get("vectors")) {
            Map<?, ?> v = (Map<?, ?>) one;
            String why = "";
            try {
                Verify.verify((String) v.get("assertion"), keys, (String) v.get("issuer"), (String) v.get("audience"),
                        Instant.ofEpochSecond(((Number) v.get("now")).longValue()), ((Number) v.get("skew")).longValue());
            } catch (Exception error) {
                why = error.toString();
            }
            Map<String, Object> outcome = new LinkedHashMap<>();
            outcome.put("name", v.get("name"));
            outcome.put("taken", why.isEmpty());
            outcome.put("why", why);
            System.out.println(JSONObjectUtils.toJSONString(outcome));
        }
    }
}
