// Runs verify.mjs over the vectors: node vectors.mjs DIRECTORY. Prints for each
// what became of it, as one line of JSON.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLocalJWKSet } from 'jose'
import { verify } from './verify.mjs'

const read = (name) => JSON.parse(readFileSync(join(process.argv[2], name), 'utf8'))
const keys = createLocalJWKSet(read('jwks.json'))
for (const { name, assertion, issuer, audience, now, skew } of read('vectors.json').vectors) {
  let why = ''
  try {
    await verify(assertion, keys, { issuer, audience, clockTolerance: skew, currentDate: new Date(now * 1000) })
  } catch (error) {
    why = String(error)
  }
  console.log(JSON.stringify({ name, taken: why === '', why }))
}
