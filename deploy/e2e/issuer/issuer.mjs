// An issuer of access tokens: oauth2-mock-server, controlled by a test. Each line of stdin is a command, a JSON object; it
// gets one line on stdout: `{"result": …}` or `{"error": …}`. The process ends with its stdin.
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { createServer as createTcpServer } from "node:net";
import { createInterface } from "node:readline";

import { OAuth2Issuer, OAuth2Service } from "oauth2-mock-server";

/** The library's part. It can add keys, but not remove them. */
let service;
let server;
let port = 0;
let fetches = 0;

async function useKeys(url, keys) {
  const issuer = new OAuth2Issuer();
  issuer.url = url;
  for (const key of keys) await issuer.keys.add(key);
  service = new OAuth2Service(issuer);
}

function listen(created) {
  server = created;
  server.sockets = new Set();
  server.on("connection", (socket) => {
    server.sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => server?.sockets.delete(socket));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      port = server.address().port;
      resolve(port);
    });
  });
}

async function close() {
  if (!server) return;
  const closing = server;
  server = undefined;
  const closed = new Promise((resolve) => closing.close(resolve));
  for (const socket of closing.sockets) socket.destroy();
  await closed;
}

function handle(request, response) {
  if (request.url === "/jwks") fetches += 1;
  service.requestHandler(request, response);
}

/** Sets the members of `changes`; `null` removes one. */
function change(object, changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete object[name];
    else object[name] = value;
  }
}

const commands = {
  /** Serves the key set, with TLS if there is a certificate; always at the same port. */
  async up({ tls }) {
    await close();
    return listen(tls ? createHttpsServer(tls, handle) : createHttpServer(handle));
  },
  /** Refuses connections, or accepts them and says nothing. */
  async down({ silent }) {
    await close();
    if (silent) await listen(createTcpServer());
  },
  async add({ alg, kid }) {
    await service.issuer.keys.generate(alg, { kid });
  },
  async remove({ kid }) {
    const { url, keys } = service.issuer;
    await useKeys(url, keys.toJSON(true).filter((key) => key.kid !== kid));
  },
  /** A token that the key signs after header and claims were changed. */
  async mint({ kid, header, claims }) {
    const { keys } = service.issuer;
    if (!keys.toJSON().some((key) => key.kid === kid)) throw new Error(`no key ${kid}`);
    // The library uses the key whose turn it is.
    while (keys.toJSON()[0].kid !== kid) keys.get();
    service.once("beforeTokenSigning", (token) => {
      change(token.header, header);
      change(token.payload, claims);
    });
    return service.buildToken({}, 3600);
  },
  /** How often the key set was fetched. */
  fetches: () => fetches,
};

await useKeys(process.argv[1], []);
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...parameters } = JSON.parse(line);
  let output;
  try {
    output = { result: (await commands[command](parameters)) ?? null };
  } catch (error) {
    output = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(output)}\n`);
}
process.exit();
