/** Go: the example and the programs of the tests, in a copy, with the plugins that its go.mod names. */
import { cpSync } from "node:fs";
import { join } from "node:path";
import { answer, installIfPossible, isOlder } from "../setup.mjs";
import { copyOf, remove, setupOf, shell } from "./readme.mjs";

/** The oldest that can fetch the one that go.mod asks for by itself. */
const OLDEST_GO = [1, 21];
const GO = { "apt-get": "golang-go", apk: "go", dnf: "golang", brew: "go" };

/** @returns {Record<string, string>} what the tests look for */
export function go() {
  const without = whyNot();
  if (without) return { INTEROP_WITHOUT_GO: without };
  const folder = copyOf("go", "transparent");
  for (const old of ["interop", "bin", "gen", "proto"]) remove(join(folder, old));
  cpSync("test/interop/go", join(folder, "interop"), { recursive: true });
  shell(setupOf("examples/go/README.md"), {
    cwd: folder,
    env: { GOFLAGS: "-mod=readonly -buildvcs=false", GOTOOLCHAIN: "auto" },
  });
  return { GO_PROGRAMS: join(folder, "bin"), GO_EXAMPLE: folder };
}

/** Why there is no Go to be had; undefined: there is. */
function whyNot() {
  if (!recent()) installIfPossible(GO);
  if (recent()) return undefined;
  const found = version();
  return `Go ${OLDEST_GO.join(".")} or newer is needed, ${found ? `${found} was found` : "none is on PATH"}: https://go.dev/dl`;
}

const version = () => /go(\d+\.\d+\S*)/.exec(answer("go", ["env", "GOVERSION"]) ?? "")?.[1];
const recent = () => !isOlder(version() ?? "", OLDEST_GO);
