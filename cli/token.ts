/** `queuecall token`: a new token, and the entry of the broker's token file that lets it in. */
import { hash, randomBytes } from "node:crypto";
import { type Command, Option } from "commander";

const verbs = ["enqueue", "wait", "work", "admin"];

interface TokenFlags {
  name: string;
  queue: string[];
  verb: string[];
}

export function addToken(program: Command): void {
  program
    .command("token")
    .summary("make a token for a broker that asks for one")
    .description(
      "Makes a token of 256 random bits. Prints the token, which nobody else has and nothing keeps, and the entry for the broker's --tokens file, which holds only its hash.",
    )
    .option("--name <NAME>", "who it is for; appears in refusals and logs", "new")
    .option("--queue <QUEUE...>", "queues it is good for; * at the end stands for the rest of the name", ["*"])
    .addOption(new Option("--verb <VERB...>", "what it may do there").choices(verbs).default(["enqueue", "wait"]))
    .addHelpText(
      "after",
      `
Examples
  queuecall token --name mailer --queue 'mail/*' --verb enqueue
  queuecall token --name worker --verb work | tee >(jq -r .token > worker.token) | jq .entry

An entry is JSON, and so is YAML: it can stand after "- " in the token file as it is.`,
    )
    .action((flags: TokenFlags) => {
      const token = `qct_${randomBytes(32).toString("base64url")}`;
      const rights = [{ queues: flags.queue, verbs: flags.verb }];
      const entry = { name: flags.name, sha256: hash("sha256", token), rights };
      process.stdout.write(`${JSON.stringify({ token, entry }, undefined, process.stdout.isTTY ? 2 : 0)}\n`);
    });
}
