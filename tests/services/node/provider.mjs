// An OpenID provider that people know with any password: oidc-provider, with what Keycloak has in its tokens.
// ISSUER, CLIENT (JSON), and /tls say the rest; everything is kept in memory.
import crypto from "node:crypto";
import fs from "node:fs";
import https from "node:https";
import { Provider } from "oidc-provider";

const issuer = new URL(process.env.ISSUER);
const key = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
const provider = new Provider(issuer.href, {
  clients: [JSON.parse(process.env.CLIENT)],
  jwks: { keys: [{ ...key, use: "sig", alg: "RS256" }] },
  cookies: { keys: [crypto.randomBytes(16).toString("hex")] },
  // As Keycloak does: what a scope gives is in the ID token too.
  conformIdTokenClaims: false,
  claims: { openid: ["sub", "sid"], profile: ["name", "preferred_username"], email: ["email"] },
  features: { backchannelLogout: { enabled: true } },
  findAccount: (_, name) => ({
    accountId: name,
    claims: () => ({
      sub: `id-of-${name}`,
      preferred_username: name,
      name: name[0].toUpperCase() + name.slice(1),
      email: `${name}@lab.example.org`,
    }),
  }),
});
for (const event of ["grant.error", "authorization.error", "server_error", "backchannel.error", "backchannel.success"]) {
  provider.on(event, (...said) => {
    const error = said.find((one) => one instanceof Error);
    console.log(JSON.stringify({ event, error: error?.error ?? error?.message, detail: error?.error_detail }));
  });
}

const path = issuer.pathname.replace(/\/$/, "");
const answer = provider.callback();
const tls = { key: fs.readFileSync("/tls/tls.key"), cert: fs.readFileSync("/tls/tls.crt") };
https
  .createServer(tls, (request, response) => {
    // Mounted below the issuer's path, as Express would do it.
    request.originalUrl = request.url;
    request.url = request.url.startsWith(path) ? request.url.slice(path.length) || "/" : "/none";
    answer(request, response);
  })
  .listen(8443, "0.0.0.0");
