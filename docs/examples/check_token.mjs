// Checks an access token of bookstore-auth offline: signature, issuer, audience, kind, times and status list.
//
//     npm install jose@6
//     node check_token.mjs JWKS_URL ISSUER TOKEN [AUDIENCE]
//
// prints the user's id, or why the token is refused, with exit code 1. `-` as ISSUER: tokens name no issuer.
// In a service, make one checker at the start and call it for every request.

import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import { base64url, createRemoteJWKSet, errors, jwtVerify } from 'jose'

const algorithms = ['EdDSA', 'ES256', 'RS256']
const longestToken = 16 * 1024
const longestList = 8 * 1024 * 1024
const listFreshAtMost = 60 // seconds, whatever its ttl
const unpack = promisify(inflate)

/** The token is not good: answer 401. */
export class Refused extends Error {}

/** Keys or status list cannot be had: answer 503. */
export class Unavailable extends Error {}

/** A function that returns the claims of a good token. */
export function createChecker(jwksUrl, { issuer, audience } = {}) {
  // Fetched at the first use, again after five minutes, and for a key id that is not known, at most every ten seconds.
  const keys = createRemoteJWKSet(new URL(jwksUrl), { cacheMaxAge: 300_000, cooldownDuration: 10_000 })
  // Status lists come from the service and from nowhere else, whatever a token says.
  const listPrefix = new URL('/status-lists/', jwksUrl).href
  const lists = new Map()

  return async function check(token) {
    if (token.length > longestToken) throw new Refused('too long')
    const requiredClaims = ['exp', 'iat', 'jti', 'token_type', 'user_id', 'sid']
    const claims = await verified(keys, token, { typ: 'JWT', issuer, audience, requiredClaims })
    // A refresh token is signed by the same service. It is no access token.
    if (claims.token_type !== 'access') throw new Refused('not an access token')
    if (!Number.isSafeInteger(claims.user_id)) throw new Refused('no user id')
    // It is of an API key, and good only for what stands in `scope`: a service that wants such tokens looks there.
    if (claims.client_id !== undefined && claims.client_id !== 'first-party') throw new Refused('given for an API key')
    // Who has no name of its own is not among those that are named (RFC 7519 section 4.1.3).
    if (audience === undefined && claims.aud !== undefined) throw new Refused('for somebody else')
    if (claims.status !== undefined) await checkStatus(claims.status)
    return claims
  }

  /** The token's entry in its status list (draft-ietf-oauth-status-list) must be 0. */
  async function checkStatus(status) {
    const { uri, idx } = status?.status_list ?? {}
    const allowed = typeof uri === 'string' && uri.startsWith(listPrefix) && /^[\w-]+$/.test(uri.slice(listPrefix.length))
    if (!Number.isSafeInteger(idx) || idx < 0 || !allowed) throw new Refused('a status list elsewhere')
    const { bits, entries } = await statusList(uri)
    const perByte = 8 / bits
    const byte = entries[Math.floor(idx / perByte)]
    if (byte === undefined) throw new Refused('no such entry in the status list')
    // The lowest bits of a byte come first.
    const value = (byte >> ((idx % perByte) * bits)) & ((1 << bits) - 1)
    if (value !== 0) throw new Refused('revoked')
  }

  /** Bits per entry and entries, fetched once for all who wait when they are older than their ttl. */
  async function statusList(uri) {
    const known = lists.get(uri)
    if (known && performance.now() < known.freshUntil) return known.list
    const list = fetchList(keys, uri)
    lists.set(uri, { list, freshUntil: Infinity })
    try {
      const { ttl } = await list
      lists.set(uri, { list, freshUntil: performance.now() + Math.min(ttl, listFreshAtMost) * 1000 })
    } catch (error) {
      lists.delete(uri)
      throw error
    }
    return list
  }
}

async function verified(keys, token, options) {
  let payload
  try {
    // A key of the set has its algorithm, and jose compares it with the header's (RFC 8725 section 3.1).
    ;({ payload } = await jwtVerify(token, keys, { algorithms, ...options }))
  } catch (error) {
    const ofToken = error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)
    // A set that could not be fetched throws the plain JOSEError or what fetch threw.
    if (ofToken && error.constructor !== errors.JOSEError) throw new Refused(error.message)
    throw new Unavailable(error.message)
  }
  if (payload.iat > Date.now() / 1000) throw new Refused('not valid yet')
  return payload
}

async function fetchList(keys, uri) {
  try {
    const answer = await fetch(uri, {
      headers: { accept: 'application/statuslist+jwt' },
      redirect: 'error',
      signal: AbortSignal.timeout(5000),
    })
    if (answer.status !== 200) throw new Error(`status ${answer.status}`)
    const options = { typ: 'statuslist+jwt', subject: uri, requiredClaims: ['iat', 'exp', 'status_list'] }
    const claims = await verified(keys, await answer.text(), options)
    const { bits, lst } = claims.status_list
    if (![1, 2, 4, 8].includes(bits)) throw new Error('no status list')
    const entries = await unpack(base64url.decode(lst), { maxOutputLength: longestList })
    return { bits, entries, ttl: claims.ttl ?? listFreshAtMost }
  } catch (error) {
    throw new Unavailable(`status list: ${error.message}`)
  }
}

async function main([jwksUrl, issuer, token, audience]) {
  if (token === undefined) throw new Error('usage: check_token.mjs JWKS_URL ISSUER TOKEN [AUDIENCE]')
  const check = createChecker(jwksUrl, { issuer: issuer === '-' ? undefined : issuer, audience })
  console.log((await check(token)).user_id)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(`${error instanceof Unavailable ? 'cannot tell' : 'refused'}: ${error.message}`)
    process.exitCode = 1
  })
}
