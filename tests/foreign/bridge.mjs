// Checks tokens as the order service does while it moves from the shared secret to public keys (docs/bridge.md).
// Input and output are those of bridge.py.
import { createInterface } from "node:readline";
import { webcrypto } from "node:crypto";
import jsonwebtoken from "jsonwebtoken";

globalThis.crypto ??= webcrypto; // Node 18 has it under this name only
const { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } = await import("jose");

const PUBLIC = ["EdDSA", "ES256"];
let settings;
let keys;

async function verify(token) {
  // The header only chooses between two fixed lists; it never brings an algorithm or a key of its own.
  if (PUBLIC.includes(decodeProtectedHeader(token).alg)) {
    return (await jwtVerify(token, keys, { algorithms: PUBLIC })).payload;
  }
  return jsonwebtoken.verify(token, settings.secret, { algorithms: ["HS256"] });
}

for await (const line of createInterface({ input: process.stdin })) {
  if (!settings) {
    settings = JSON.parse(line);
    const keep = settings.keep * 1000;
    keys = createRemoteJWKSet(new URL(settings.jwks_uri), { cacheMaxAge: keep, cooldownDuration: keep / 2 });
    continue;
  }
  let answer;
  try {
    answer = { ok: true, claims: await verify(JSON.parse(line)) };
  } catch (fault) {
    answer = { ok: false, error: `${fault.code ?? fault.name}: ${fault.message}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
