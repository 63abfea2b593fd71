// Checks tokens as the order service and the front end do: jsonwebtoken and jose.
// Reads {"secret", "tokens"} from standard input; writes for each token {"jsonwebtoken": .., "jose": ..}, each {"ok", "claims" | "error"}.
import { readFileSync } from "node:fs";
import { webcrypto } from "node:crypto";
import jsonwebtoken from "jsonwebtoken";

globalThis.crypto ??= webcrypto; // Node 18 has it under this name only
const { jwtVerify, decodeJwt } = await import("jose");

function withJsonwebtoken(token, secret) {
  try {
    return { ok: true, claims: jsonwebtoken.verify(token, secret, { algorithms: ["HS256"] }) };
  } catch (fault) {
    return { ok: false, error: fault.name };
  }
}

async function withJose(token, secret) {
  try {
    const { payload } = await jwtVerify(token, new TextEncoder().encode(secret), { algorithms: ["HS256"] });
    return { ok: true, claims: payload, expires: decodeJwt(token).exp };
  } catch (fault) {
    return { ok: false, error: fault.code ?? fault.name };
  }
}

const { secret, tokens } = JSON.parse(readFileSync(0, "utf8"));
const answers = [];
for (const token of tokens) {
  answers.push({ jsonwebtoken: withJsonwebtoken(token, secret), jose: await withJose(token, secret) });
}
process.stdout.write(JSON.stringify(answers));
