import com.nimbusds.jose.JWSHeader;
import com.nimbusds.jose.JWSVerifier;
import com.nimbusds.jose.crypto.ECDSAVerifier;
import com.nimbusds.jose.crypto.Ed25519Verifier;
import com.nimbusds.jose.crypto.RSASSAVerifier;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKMatcher;
import com.nimbusds.jose.jwk.JWKSelector;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.SignedJWT;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Base64;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * Checks a Kycvs-Assertion with com.nimbusds:nimbus-jose-jwt; for EdDSA it needs
 * com.google.crypto.tink:tink too.
 */
public final class Verify {
    /**
     * Returns the claims, or throws. keys is
     * JWKSourceBuilder.create(new URL("https://mall.example/.kycvs/jwks.json")).build(),
     * made once; issuer "https://mall.example", audience e.g. "mall", skew 5.
     */
    static Map<String, Object> verify(String assertion, JWKSource<SecurityContext> keys, String issuer, String audience,
            Instant now, long skew) throws Exception {
        open(assertion);
        SignedJWT jwt = SignedJWT.parse(assertion);
        JWSHeader header = jwt.getHeader();
        refuseUnless("kycvs+jwt".equals(header.toJSONObject().get("typ")) && header.getKeyID() != null);
        List<JWK> found = keys.get(new JWKSelector(new JWKMatcher.Builder()
                .keyID(header.getKeyID()).algorithm(header.getAlgorithm()).build()), null);
        refuseUnless(found.size() == 1);
        JWSVerifier verifier = switch (header.getAlgorithm().getName()) {
            case "ES256" -> new ECDSAVerifier(found.get(0).toECKey());
            case "EdDSA" -> new Ed25519Verifier(found.get(0).toOctetKeyPair());
            case "RS256" -> new RSASSAVerifier(found.get(0).toRSAKey());
            default -> throw new SecurityException("algorithm not accepted");
        };
        refuseUnless(jwt.verify(verifier));
        Map<String, Object> claims = jwt.getPayload().toJSONObject();
        check(claims, now.getEpochSecond(), skew);
        refuseUnless(claims.get("iss").equals(issuer) && claims.get("aud").equals(audience));
        return claims;
    }

    // What the library leaves to you.

    private static final Set<String> NEVER =
            Set.of("crit", "b64", "zip", "enc", "jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256");
    private static final Pattern STRING = Pattern.compile("\"((?:[^\"\\\\]|\\\\.)*+)\"(\\s*+:)?");
    private static final Pattern REST = Pattern.compile("(?:[-+0-9.eE{}\\[\\]:,\\s]|true|false|null)*+");

    /** Header and payload have one spelling, each name once, and nothing that is not JSON. */
    private static void open(String assertion) throws Exception {
        String[] parts = assertion.split("\\.", -1);
        refuseUnless(assertion.length() <= 1024 && parts.length == 3);
        for (int i = 0; i < 3; i++) {
            byte[] raw = Base64.getUrlDecoder().decode(parts[i]);
            refuseUnless(Base64.getUrlEncoder().withoutPadding().encodeToString(raw).equals(parts[i]));
            if (i == 2) {
                refuseUnless(raw.length == 64 || raw.length >= 256); // ES256 and EdDSA; RS256
                continue;
            }
            String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(raw)).toString();
            Set<String> names = new HashSet<>();
            var strings = STRING.matcher(text);
            while (strings.find()) {
                // A gate escapes nothing in a name.
                refuseUnless(strings.group(2) == null || !strings.group(1).contains("\\") && names.add(strings.group(1)));
                refuseUnless(i == 1 || strings.group(2) == null || !NEVER.contains(strings.group(1)));
            }
            String rest = strings.replaceAll("0");
            refuseUnless(REST.matcher(rest).matches() && rest.startsWith("{") && !rest.contains(",}"));
        }
    }

    /** Each claim is of its type, and the times make sense. */
    private static void check(Map<String, Object> c, long now, long skew) {
        for (String name : List.of("iss", "aud", "sub", "jti", "txnId", "consent")) {
            refuseUnless(c.get(name) instanceof String s && !s.isEmpty());
        }
        refuseUnless(c.get("purpose") instanceof String);
        refuseUnless(!c.containsKey("authority") || c.get("authority") instanceof String s && !s.isEmpty());
        for (String name : List.of("iat", "nbf", "exp", "auth_time")) {
            refuseUnless(whole(c, name) <= 253402300799L);
        }
        long iat = whole(c, "iat"), nbf = whole(c, "nbf"), exp = whole(c, "exp");
        refuseUnless(iat < exp && nbf < exp && exp - iat <= 3600);
        refuseUnless(iat <= now + skew && nbf <= now + skew && now - skew < exp);
        refuseUnless(c.get("amr") instanceof List<?> amr && !amr.isEmpty() && amr.stream().allMatch(v -> v instanceof String));
        refuseUnless(whole(c, "vaccination_status") <= 2);
    }

    /** A number without fraction that is not negative. */
    private static long whole(Map<String, Object> c, String name) {
        Object v = c.get(name);
        refuseUnless(v instanceof Long || v instanceof Integer);
        long number = ((Number) v).longValue();
        refuseUnless(number >= 0);
        return number;
    }

    private static void refuseUnless(boolean ok) {
        if (!ok) {
            throw new SecurityException("not a valid assertion");
        }
    }
}
