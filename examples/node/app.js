// A Node app behind Baluarte: it reads who is calling, and verifies it where that matters.
//
//     BALUARTE_URL=https://shop.example.com UPSTREAM=shop PORT=9000 node app.js
//
// Baluarte removes `Remote-*` and `X-Baluarte-Identity` from what clients send and sets them itself, so an app that only
// Baluarte can reach may simply believe the headers (`/hello`). An app that others on the network can reach too verifies
// the signed identity (`/account`).

import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

// What Baluarte calls itself (`server.public_url`), and what its configuration calls this app
// (`[gateway.upstreams.NAME]`): a token for another app of yours is not good for this one.
const issuer = process.env.BALUARTE_URL;
const audience = process.env.UPSTREAM;

// Fetched when first needed and kept; asked for again when a token names a key that is not among them.
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', issuer));

/** The claims of X-Baluarte-Identity (`sub`, `email`, `name`, `role`, `plan`), or null. */
async function verifiedIdentity(request) {
  try {
    const token = request.headers['x-baluarte-identity'];
    const { payload } = await jwtVerify(token, keys, { issuer, audience, algorithms: ['EdDSA'], typ: 'baluarte-identity+jwt' });
    return payload;
  } catch {
    return null;
  }
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

const routes = {
  async '/hello'(request, response) {
    const email = request.headers['remote-email'];
    answer(response, 200, { hello: email ?? 'stranger', groups: request.headers['remote-groups'] ?? '' });
  },
  async '/account'(request, response) {
    const identity = await verifiedIdentity(request);
    if (!identity) return answer(response, 401, { error: 'no valid identity' });
    answer(response, 200, { user: identity.sub, email: identity.email, role: identity.role, plan: identity.plan });
  },
};

createServer(async (request, response) => {
  const route = routes[new URL(request.url, 'http://app').pathname];
  if (!route) return answer(response, 404, { error: 'nothing here' });
  await route(request, response);
}).listen(Number(process.env.PORT), '127.0.0.1');
