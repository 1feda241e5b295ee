// An OpenID provider for the shop: `npm install` here once, then `node provider.mjs`. It is for development: anyone logs in as
// anyone, with any password.
//
// It has two clients. `web` logs users in, by a code flow with PKCE. `backoffice` acts for itself, by client credentials, and has
// the role `staff`. The signal USR1 makes a new key, which signs from then on. Old keys stay published.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const port = Number(process.env.PORT ?? 9000);
const issuer = `http://127.0.0.1:${port}`;
// What the shop's tokens are for.
const resource = 'urn:shop';

// The kinds of keys, each new key is of the next one.
const kinds = [
  ['RS256', () => generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ['ES256', () => generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ['EdDSA', () => generateKeyPairSync('ed25519')],
];
// The newest key first.
const keys = [];

function newKey() {
  const [alg, make] = kinds[keys.length % kinds.length];
  const kid = randomBytes(8).toString('hex');
  keys.unshift({ ...make().privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' });
}

const cookies = { keys: [randomBytes(32).toString('hex')] };

function provider() {
  const [{ alg, kid }] = keys;
  return new Provider(issuer, {
    jwks: { keys },
    cookies,
    clients: [
      {
        client_id: 'web',
        token_endpoint_auth_method: 'none',
        redirect_uris: ['http://127.0.0.1:8080/callback'],
        id_token_signed_response_alg: alg,
      },
      {
        client_id: 'backoffice',
        client_secret: 'backoffice-secret',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        id_token_signed_response_alg: alg,
      },
    ],
    enabledJWA: { idTokenSigningAlgValues: kinds.map(([alg]) => alg) },
    findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
    // No one is asked for consent.
    loadExistingGrant: async ({ oidc }) => {
      const grant = new oidc.provider.Grant({
        clientId: oidc.client.clientId,
        accountId: oidc.session.accountId,
      });
      grant.addOIDCScope('openid');
      grant.addResourceScope(resource, '');
      await grant.save();
      return grant;
    },
    extraTokenClaims: async (_, token) => ({
      roles: token.kind === 'ClientCredentials' ? ['staff'] : [],
    }),
    ttl: { AccessToken: 3600, ClientCredentials: 3600, Interaction: 600, Session: 3600, Grant: 3600, IdToken: 3600 },
    features: {
      // The shop reads access tokens itself, so they are JWTs.
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '',
          audience: 'shop',
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg, kid } },
        }),
      },
      clientCredentials: { enabled: true },
    },
  }).callback();
}

newKey();
let answer = provider();
process.on('SIGUSR1', () => {
  newKey();
  answer = provider();
  console.log(`a new key: ${keys[0].alg} ${keys[0].kid}`);
});
createServer((request, response) => answer(request, response)).listen(port, '127.0.0.1', () => {
  console.log(`${issuer} is ready`);
});
