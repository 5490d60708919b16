// A real OpenID provider for the tests: `node provider.mjs <oidc-provider's index.js> <people.json> <clients JSON>`.
// Whoever types an id of people.json signs in; the file is read at each question, so that a test can
// rename people and change their groups while the provider runs. Prints its issuer when it listens.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { pathToFileURL } from "node:url";

const [entry, peopleFile, clients, options] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(entry));
const { accessTokenSeconds } = JSON.parse(options);
const person = (id) => JSON.parse(readFileSync(peopleFile, "utf8"))[id];

const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: JSON.parse(clients),
  findAccount: (_context, id) =>
    person(id) && { accountId: id, claims: () => ({ sub: id, ...person(id) }) },
  claims: {
    openid: ["sub"],
    profile: ["preferred_username", "groups"],
    email: ["email", "email_verified"],
  },
  cookies: { keys: [crypto.randomUUID()] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  clockTolerance: 0,
  ttl: { AccessToken: accessTokenSeconds },
});

async function answerQuestion(request, response) {
  const { prompt, params, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === "login" && request.method === "GET") {
    const form = '<form method="post"><label>Id <input name="id"></label><button>Continue</button>';
    response.setHeader("Content-Type", "text/html").end(`<h1>Provider</h1>${form}</form>`);
  } else if (prompt.name === "login") {
    let body = "";
    for await (const chunk of request) body += chunk;
    const id = new URLSearchParams(body).get("id");
    const result = person(id) ? { login: { accountId: id } } : { error: "access_denied" };
    await provider.interactionFinished(request, response, result);
  } else {
    const { accountId } = (await provider.interactionDetails(request, response)).session;
    const known = grantId && (await provider.Grant.find(grantId));
    const grant = known || new provider.Grant({ accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  }
}

const pages = provider.callback();
server.on("request", (request, response) =>
  request.url.startsWith("/interaction/")
    ? answerQuestion(request, response).catch((error) => response.writeHead(500).end(String(error)))
    : pages(request, response),
);
console.log(issuer);
