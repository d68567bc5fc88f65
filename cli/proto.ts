/** `queuecall proto`: the .proto files, for code generators of other languages. */
import { cpSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";

/** The protocol, and what it imports that no code generator brings. */
const packages = ["queuecall/v1", "google/rpc"];

export function addProto(program: Command): void {
  program
    .command("proto")
    .summary("write the .proto files, for other languages")
    .description(
      "Writes the .proto files of the protocol and of the google.rpc messages it uses, and prints their names.",
    )
    .requiredOption(
      "--out <DIR>",
      "folder to write them to; made if it is not there, files of the same name are replaced",
    )
    .addHelpText(
      "after",
      `
Examples
  queuecall proto --out proto
  python -m grpc_tools.protoc -Iproto --python_out=. --grpc_python_out=. proto/queuecall/v1/*.proto proto/google/rpc/*.proto`,
    )
    .action(({ out }: { out: string }) => {
      const files = copyProtos(out);
      process.stdout.write(`${JSON.stringify({ out, files })}\n`);
    });
}

/** Answers the files as they import each other: "queuecall/v1/job.proto". */
function copyProtos(out: string): string[] {
  const from = protoFolder();
  return packages.flatMap((name) => {
    cpSync(join(from, name), join(out, name), { recursive: true });
    return readdirSync(join(from, name)).map((file) => `${name}/${file}`);
  });
}

/** One folder up from cli/, two from dist/cli/. */
function protoFolder(): string {
  const folders = ["../proto", "../../proto"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const found = folders.find((folder) => existsSync(folder));
  if (found === undefined) throw new Error(`the .proto files are not where they belong, ${folders.at(-1)}`);
  return found;
}
