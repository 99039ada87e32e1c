<?php
// Checks a Kycvs-Assertion with firebase/php-jwt (composer require firebase/php-jwt;
// 6.7 or later, and PHP's sodium for EdDSA).

use Firebase\JWT\JWT;

/**
 * Returns the claims, or throws. $keys is what
 * JWK::parseKeySet(json_decode(file_get_contents('https://mall.example/.kycvs/jwks.json'), true))
 * returns, or a CachedKeySet. $issuer is 'https://mall.example', $audience e.g. 'mall'.
 */
function verify(string $assertion, $keys, string $issuer, string $audience, int $leeway = 5): stdClass
{
    $header = openAssertion($assertion);
    $never = ['crit', 'b64', 'zip', 'enc', 'jwk', 'jku', 'x5u', 'x5c', 'x5t', 'x5t#S256'];
    if (($header['typ'] ?? null) !== 'kycvs+jwt' || !is_string($header['kid'] ?? null) || array_intersect_key(array_flip($never), $header)) {
        throw new UnexpectedValueException('not an assertion');
    }
    JWT::$leeway = $leeway;
    // It takes the algorithm from the key, not from the assertion.
    if (!in_array($header['alg'] ?? null, ['ES256', 'EdDSA', 'RS256'], true)) {
        throw new UnexpectedValueException('algorithm not accepted');
    }
    $claims = JWT::decode($assertion, $keys);
    if (($claims->iss ?? null) !== $issuer || ($claims->aud ?? null) !== $audience) {
        throw new UnexpectedValueException('not from this issuer for this audience');
    }
    return checkedClaims($claims);
}

// What the library leaves to you.

/** Returns the header. Header and payload have one spelling and each name once. */
function openAssertion(string $assertion): array
{
    $parts = explode('.', $assertion);
    if (strlen($assertion) > 1024 || count($parts) !== 3) {
        throw new UnexpectedValueException('not three parts of at most 1024 bytes');
    }
    foreach ($parts as $i => $part) {
        $raw = base64_decode(strtr($part, '-_', '+/'), true);
        if ($raw === false || rtrim(strtr(base64_encode($raw), '+/', '-_'), '=') !== $part) {
            throw new UnexpectedValueException('not base64url');
        }
        if ($i < 2) {
            $object = json_decode($raw, false, 16, JSON_THROW_ON_ERROR);
            preg_match_all('/("(?:[^"\\\\]|\\\\.)*+")(\s*:)?/s', $raw, $found, PREG_SET_ORDER);
            $names = array_map(fn ($m) => json_decode($m[1]), array_filter($found, fn ($m) => isset($m[2])));
            if (!$object instanceof stdClass || count(array_unique($names, SORT_STRING)) !== count($names)) {
                throw new UnexpectedValueException('not an object, or a name stands twice');
            }
            $opened[] = (array) $object;
        }
    }
    // Of a longer one the library reads the first 64 bytes.
    if (($opened[0]['alg'] ?? null) !== 'RS256' && strlen($raw) !== 64) {
        throw new UnexpectedValueException('not a signature');
    }
    return $opened[0];
}

/** Returns $c if each claim is of its type and the times make sense. */
function checkedClaims(stdClass $c): stdClass
{
    $text = fn ($v) => is_string($v) && $v !== '';
    $ok = is_string($c->purpose ?? null) && (!property_exists($c, 'authority') || $text($c->authority));
    foreach (['iss', 'aud', 'sub', 'jti', 'txnId', 'consent'] as $name) {
        $ok = $ok && $text($c->$name ?? null);
    }
    foreach (['iat', 'nbf', 'exp', 'auth_time'] as $name) {
        $ok = $ok && is_int($c->$name ?? null) && $c->$name >= 0;
    }
    $ok = $ok && $c->iat < $c->exp && $c->nbf < $c->exp && $c->exp - $c->iat <= 3600
        && $c->iat <= (JWT::$timestamp ?? time()) + JWT::$leeway
        && is_array($c->amr ?? null) && $c->amr !== [] && array_filter($c->amr, 'is_string') === $c->amr
        && in_array($c->vaccination_status ?? null, [0, 1, 2], true);
    if (!$ok) {
        throw new UnexpectedValueException('a claim is missing or of the wrong type');
    }
    return $c;
}
