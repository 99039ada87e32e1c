// Checks a Kycvs-Assertion with jose (npm install jose; version 4.11 or later).
import { jwtVerify } from 'jose'

// verify returns the claims, or throws. keys is what
// createRemoteJWKSet(new URL('https://mall.example/.kycvs/jwks.json')) returns;
// make it once. expected is { issuer: 'https://mall.example', audience: 'mall' }.
export async function verify (assertion, keys, expected) {
  const [header] = open(assertion)
  if (header.typ !== 'kycvs+jwt' || typeof header.kid !== 'string' || never.some((name) => Object.hasOwn(header, name))) {
    throw new Error('not an assertion')
  }
  const { payload } = await jwtVerify(assertion, keys, {
    algorithms: ['ES256', 'EdDSA', 'RS256'], clockTolerance: 5, maxTokenAge: 3600, ...expected
  })
  return claims(payload)
}

// What jose leaves to you. Members that let an assertion choose its key, or how
// it is read:
const never = ['crit', 'b64', 'zip', 'enc', 'jwk', 'jku', 'x5u', 'x5c', 'x5t', 'x5t#S256']

// open returns header and payload. Each has one spelling, and each name once:
// JSON.parse takes the last of two, and Buffer.from skips what is not base64url.
function open (assertion) {
  if (assertion.length > 1024) throw new Error('too long')
  const parts = assertion.split('.')
  if (parts.length !== 3 || parts.some((part) => Buffer.from(part, 'base64url').toString('base64url') !== part)) {
    throw new Error('not base64url')
  }
  return parts.slice(0, 2).map((part) => {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(part, 'base64url'))
    const object = JSON.parse(text)
    if (Object.prototype.toString.call(object) !== '[object Object]') throw new Error('not an object')
    const names = [...text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?/g)].filter((m) => m[2]).map((m) => JSON.parse(m[1]))
    if (new Set(names).size !== names.length) throw new Error('a name stands twice')
    return object
  })
}

// claims returns c if each claim is of its type and the times make sense.
function claims (c) {
  const text = (v) => typeof v === 'string' && v !== ''
  const time = (v) => Number.isSafeInteger(v) && v >= 0
  const ok = [c.iss, c.aud, c.sub, c.jti, c.txnId, c.consent].every(text) && typeof c.purpose === 'string' &&
    (!Object.hasOwn(c, 'authority') || text(c.authority)) &&
    [c.iat, c.nbf, c.exp, c.auth_time].every(time) && c.iat < c.exp && c.nbf < c.exp && c.exp - c.iat <= 3600 &&
    Array.isArray(c.amr) && c.amr.length > 0 && c.amr.every((v) => typeof v === 'string') &&
    [0, 1, 2].includes(c.vaccination_status)
  if (!ok) throw new Error('a claim is missing or of the wrong type')
  return c
}
