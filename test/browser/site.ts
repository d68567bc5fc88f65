/** A web server with pages of its own origin: this repository's files, TypeScript as what browsers run. */
import { readFileSync, statSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { stripTypeScriptTypes } from "node:module";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { json } from "node:stream/consumers";
import { root } from "../support/processes.ts";

const packages = ["@bufbuild/protobuf", "@connectrpc/connect", "@connectrpc/connect-web"];
const imports = Object.fromEntries(
  packages.flatMap((name) => {
    const folder = `/node_modules/${name}/dist/esm/`;
    return [
      [name, `${folder}index.js`],
      [`${name}/`, folder],
    ];
  }),
);

export interface Site extends AsyncDisposable {
  port: number;
  /** What the next page that is opened reports. */
  report(): Promise<unknown>;
}

/** @param script what a page runs, from the root, with its query */
export async function openSite(script: () => string): Promise<Site> {
  let told = Promise.withResolvers<unknown>();
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? "/", "http://site").pathname;
    if (path === "/report") {
      told.resolve(await json(request));
      response.end();
    } else if (path === "/") page(response, script());
    else file(response, path);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async report() {
      const report = await told.promise;
      told = Promise.withResolvers();
      return report;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function page(response: ServerResponse, script: string): void {
  const map = `<script type="importmap">${JSON.stringify({ imports })}</script>`;
  response.setHeader("content-type", "text/html").end(`${map}<script type="module" src="${script}"></script>`);
}

function file(response: ServerResponse, path: string): void {
  const name = join(root, normalize(path));
  try {
    // What names a folder is its index, and what that imports is beside it.
    if (statSync(name).isDirectory()) return void response.writeHead(302, { location: `${path}/index.js` }).end();
    const text = readFileSync(name, "utf8");
    response.setHeader("content-type", "text/javascript");
    response.end(name.endsWith(".ts") ? stripTypeScriptTypes(text) : text);
  } catch {
    response.writeHead(404).end();
  }
}
