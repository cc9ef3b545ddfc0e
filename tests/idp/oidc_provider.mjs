// Providers made with oidc-provider, one for each way to set it up, and a client of each for each way to be one.
//
// Is told which portals are registered, prints the issuers, and goes on until its input ends. A line of
// input names a provider that is started anew with another key, as after a change of keys.

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

console.info = console.error; // the library's notices: our output is read

const { portals, secret } = JSON.parse(process.argv[2]);

const ALGORITHMS = ['RS256', 'PS256', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
const SETUPS = {
  usual: {}, // claims stand at userinfo alone, as OpenID Connect Core 1.0, section 5.4 has it
  telling: { conformIdTokenClaims: false },
  pushed: {
    features: { pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true } },
  },
  posted: { clientAuthMethods: ['client_secret_post'] },
};

function keys(kid) {
  const [rsa, p256, p384, p521, ed] = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ...['P-256', 'P-384', 'P-521'].map((namedCurve) => generateKeyPairSync('ec', { namedCurve })),
    generateKeyPairSync('ed25519'),
  ];
  return Object.entries({ rsa, p256, p384, p521, ed }).map(([name, { privateKey }]) => ({
    ...privateKey.export({ format: 'jwk' }),
    kid: `${kid}-${name}`,
    use: 'sig',
  }));
}

function client(id, more = {}) {
  return {
    client_id: id,
    client_secret: secret,
    redirect_uris: portals.map((portal) => `${portal}/sign-in/callback`),
    post_logout_redirect_uris: portals.map((portal) => `${portal}/signed-out`),
    ...more,
  };
}

function clients(setup) {
  if (setup === 'posted') return [client('portal', { token_endpoint_auth_method: 'client_secret_post' })];
  return [
    client('portal'),
    ...portals.map((portal) => client(`told-${portal}`, {
      backchannel_logout_uri: `${portal}/backchannel-logout`,
      backchannel_logout_session_required: true,
    })),
    ...ALGORITHMS.map((alg) => client(alg, {
      id_token_signed_response_alg: alg,
      userinfo_signed_response_alg: alg,
    })),
  ];
}

function person(id) {
  const email = { email: `${id}@acme.example`, email_verified: id !== 'una' };
  return { accountId: id, claims: () => ({ sub: id, name: `The one called ${id}`, groups: ['sales'], ...email }) };
}

function provider(setup, issuer) {
  const { features, ...more } = SETUPS[setup];
  const made = new Provider(issuer, {
    claims: { email: ['email', 'email_verified'], groups: ['groups'], profile: ['name'] },
    clients: clients(setup),
    cookies: { keys: ['one run long'] },
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS, userinfoSigningAlgValues: ALGORITHMS },
    fetch: (address, { dispatcher, ...options }) => fetch(address, options), // the usual one shuns loopback
    features: { backchannelLogout: { enabled: true }, jwtUserinfo: { enabled: true }, ...features },
    findAccount: (_, id) => person(id),
    jwks: { keys: keys('one') },
    ...more,
  });
  if (setup === 'posted') {
    made.use((ctx, next) => { // the library takes a secret from either place, other providers do not
      if (ctx.get('authorization').startsWith('Basic ')) delete ctx.headers.authorization;
      return next();
    });
  }
  made.on('server_error', (_, error) => console.error(error));
  made.on('backchannel.error', (_, error) => console.error(error));
  return made;
}

const servers = {};

function serve(setup) {
  const server = servers[setup];
  server.removeAllListeners('request');
  server.on('request', provider(setup, issuer(server)).callback());
}

const issuer = (server) => `http://127.0.0.1:${server.address().port}`;

for (const setup of Object.keys(SETUPS)) {
  servers[setup] = createServer();
  await new Promise((listening) => { servers[setup].listen(0, '127.0.0.1', listening); });
  serve(setup);
}
console.log(JSON.stringify(Object.fromEntries(Object.entries(servers).map(([name, one]) => [name, issuer(one)]))));

for await (const setup of createInterface({ input: process.stdin })) {
  serve(setup);
  console.log(setup);
}
process.exit();
