/** What a fresh clone lacks: packages, the Node this repository is developed with, a Redis to test against. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, resolve } from "node:path";
import { Stop } from "./process.mjs";

/** The oldest host Node that can take the pinned one's place: it runs our TypeScript as it is, `await using` included. What is published runs on older ones. */
const OLDEST_HOST_NODE = [24, 0];
const OLDEST_REDIS = [7, 0];
const OLDEST_VALKEY = [7, 2];

/** `npm ci`, if node_modules is not what the lockfile says. */
export function installPackages() {
  if (packagesMatch(readLock("package-lock.json"), readLock("node_modules/.package-lock.json"))) return;
  npmCi("--include=dev", "--include=optional");
}

/** The peers of the benchmark, from its own lockfile. */
export function installPeers() {
  if (packagesMatch(readLock("bench/package-lock.json"), readLock("bench/node_modules/.package-lock.json"))) return;
  npmCi("--prefix", "bench", "--ignore-scripts");
}

/** @param {string[]} options */
function npmCi(...options) {
  console.error(["setting up: npm ci", ...options].join(" "));
  // The npm that called us, if one did. No package needs its install script.
  const caller = process.env.npm_execpath ?? "";
  const npm = caller.endsWith("npm-cli.js") ? [process.execPath, caller] : ["npm"];
  const args = ["ci", ...options, "--no-audit", "--no-fund", "--loglevel=error"];
  tell([...npm, ...args], { shell: process.platform === "win32" && npm.length === 1 });
}

/**
 * Whether what is installed is what is locked. Packages for other platforms may be missing.
 * @param {Packages | undefined} locked
 * @param {Packages | undefined} installed
 */
export function packagesMatch(locked, installed) {
  if (!locked || !installed) return false;
  return Object.entries(locked).every(([path, wanted]) => {
    if (path === "") return true;
    const found = installed[path];
    if (!found) return wanted.optional === true || wanted.devOptional === true;
    return found.version === wanted.version && found.integrity === wanted.integrity;
  });
}

/** @typedef {Record<string, { version?: string, integrity?: string, optional?: boolean, devOptional?: boolean }>} Packages */

/**
 * @param {string} file
 * @returns {Packages | undefined}
 */
function readLock(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).packages : undefined;
}

/** Puts node_modules/.bin first on PATH, so that `node` is the pinned one; where there is none for this platform, the host's must do. */
export function useNode() {
  const bin = resolve("node_modules/.bin");
  process.env.PATH = [bin, ...(process.env.PATH ?? "").split(delimiter).filter((each) => each !== bin)].join(delimiter);
  // There but unable to run, e.g. where libc is not glibc: it would stand in the host's way.
  if (existsSync(`${bin}/node`) && !answer(`${bin}/node`, ["--version"])) rmSync(`${bin}/node`);

  const version = answer("node", ["--version"])?.trim() ?? "";
  if (isOlder(version, OLDEST_HOST_NODE)) {
    throw new Stop(
      `queuecall is developed with Node 24, which its packages have not got for ${process.platform}-${process.arch}; ` +
        `the Node on PATH is ${version || "missing"}, but ${OLDEST_HOST_NODE.join(".")} or newer is needed: https://nodejs.org/en/download`,
    );
  }
  // Compiling our TypeScript is most of what a process takes to start, and tests start hundreds.
  process.env.NODE_COMPILE_CACHE ??= resolve("node_modules/.cache/node");
}

/** Finds a Redis server for the tests, or installs one where that bothers nobody, and names it in REDIS_SERVER. */
export function useRedis() {
  const found = findRedis() ?? (mayInstall() ? installRedis() : undefined);
  if (!found) {
    throw new Stop(
      `the tests start Redis servers of their own, but no redis-server is on PATH: ${howToInstall(REDIS, GET_REDIS)}, ` +
        "or name one with REDIS_SERVER=/path/to/redis-server",
    );
  }
  const version = answer(found, ["--version"]);
  if (version === undefined) throw new Stop(`cannot run ${found} (REDIS_SERVER names the Redis to test with)`);
  const [product, oldest] = /valkey/i.test(version) ? ["Valkey", OLDEST_VALKEY] : ["Redis", OLDEST_REDIS];
  if (isOlder(/v=(\S+)/.exec(version)?.[1] ?? "", oldest)) {
    throw new Stop(`${found} is too old: ${product} ${oldest.join(".")} or newer is needed, found: ${version.trim()}`);
  }
  process.env.REDIS_SERVER = found;
}

function findRedis() {
  const named = process.env.REDIS_SERVER;
  if (named) return named;
  return ["redis-server", "valkey-server"].find((name) => answer(name, ["--version"]) !== undefined);
}

const isRoot = process.getuid?.() === 0;
/** CI machines are made to be thrown away, and root containers nearly always. */
const mayInstall = () => isRoot || process.env.CI === "true";

/** @typedef {"apt-get" | "apk" | "dnf" | "brew"} Manager */

/** @type {Record<Manager, string>} */
const CHROMIUM = { "apt-get": "chromium", apk: "chromium", dnf: "chromium", brew: "chromium" };
const GET_REDIS = "install Redis 7 or newer (https://redis.io/docs/latest/operate/oss_and_stack/install/)";
/** @type {Record<Manager, string>} */
const REDIS = { "apt-get": "redis-server", apk: "redis", dnf: "redis", brew: "redis" };

/**
 * Commands that install packages, by the package manager they need.
 * @type {Record<Manager, (...names: string[]) => string[][]>}
 */
const managers = {
  "apt-get": (...names) => [
    ["apt-get", "update", "-qq"],
    ["apt-get", "install", "-qq", "-y", "--no-install-recommends", ...names],
  ],
  apk: (...names) => [["apk", "add", "--no-cache", ...names]],
  dnf: (...names) => [["dnf", "install", "-y", ...names]],
  brew: (...names) => [["brew", "install", ...names]],
};

function systemManager() {
  const names = /** @type {Manager[]} */ (Object.keys(managers));
  return names.find((name) => answer(name, ["--version"]) !== undefined);
}

/**
 * @param {Record<Manager, string>} packages
 * @param {string} otherwise where there is no package manager that we know
 */
export function howToInstall(packages, otherwise) {
  const name = systemManager();
  if (!name) return otherwise;
  const sudo = isRoot || name === "brew" ? "" : "sudo ";
  const commands = managers[name](...packages[name].split(" "));
  return `install it (${commands.map((command) => sudo + command.join(" ")).join(" && ")})`;
}

/** Finds a Chromium for the tests, or installs one where that bothers nobody, and names it in CHROMIUM. */
export function useChromium() {
  const named = process.env.CHROMIUM;
  const find = () => (named ? [named] : ["chromium", "chromium-browser", "google-chrome"]).find(runs);
  if (!named && !find()) installIfPossible(CHROMIUM);
  const found = find();
  if (!found) {
    const how = howToInstall(CHROMIUM, "install Chromium or Chrome");
    throw new Stop(
      `the browser tests need Chromium, but there is none on PATH: ${how}, or name one with CHROMIUM=/path/to/chromium`,
    );
  }
  process.env.CHROMIUM = found;
}

/** @param {string} program */
const runs = (program) => answer(program, ["--version"]) !== undefined;

function installRedis() {
  const name = systemManager();
  if (!name) return undefined;
  installWith(name, REDIS[name]);
  return findRedis();
}

/**
 * Installs programs where that bothers nobody; says so where it cannot be.
 * @param {Partial<Record<Manager, string>>} packages
 */
export function installIfPossible(packages) {
  const name = systemManager();
  const wanted = name && packages[name];
  if (!name || !wanted || !mayInstall()) return;
  try {
    installWith(name, ...wanted.split(" "));
  } catch (error) {
    console.error(`left out: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * @param {Manager} name
 * @param {string[]} packages
 */
function installWith(name, ...packages) {
  console.error(`setting up: installing ${packages.join(" ")} with ${name}`);
  const sudo = isRoot || name === "brew" ? [] : ["sudo", "-n"];
  withoutServices(sudo, () => {
    for (const command of managers[name](...packages))
      tell([...sudo, ...command], { env: { DEBIAN_FRONTEND: "noninteractive" } });
  });
}

const POLICY = "/usr/sbin/policy-rc.d";

/**
 * Debian starts what it installs, on the port that people expect theirs on. Its own way to say no is this file, for as long as it is there.
 * @param {string[]} sudo
 * @param {() => void} install
 */
function withoutServices(sudo, install) {
  if (!existsSync("/usr/sbin/invoke-rc.d") || existsSync(POLICY)) return install();
  if (sudo.length > 0) {
    tell([...sudo, "sh", "-c", `printf '#!/bin/sh\\nexit 101\\n' > ${POLICY} && chmod 755 ${POLICY}`]);
  } else {
    writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  }
  try {
    install();
  } finally {
    tell([...sudo, "rm", "-f", POLICY]);
  }
}

/**
 * Runs a step of the setup. What it prints goes to stderr.
 * @param {string[]} command
 * @param {{ env?: Record<string, string>, shell?: boolean }} [options]
 */
function tell([program = "", ...args], { env, shell = false } = {}) {
  const { status, error } = spawnSync(program, args, {
    stdio: ["ignore", process.stderr, process.stderr],
    env: { ...process.env, ...env },
    shell,
  });
  if (status !== 0) {
    throw new Stop(
      `setting up failed: ${[program, ...args].join(" ")} ${error ? error.message : `ended with ${status}`}`,
    );
  }
}

/**
 * What a program prints, or undefined if it is not there or fails.
 * @param {string} program
 * @param {string[]} args
 */
export function answer(program, args) {
  try {
    return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return undefined;
  }
}

/**
 * @param {string} version "v24.21.0"; unreadable counts as older
 * @param {number[]} than [major, minor]
 */
export function isOlder(version, [major = 0, minor = 0]) {
  const found = /^v?(\d+)\.(\d+)/.exec(version);
  if (!found) return true;
  const [foundMajor, foundMinor] = [Number(found[1]), Number(found[2])];
  return foundMajor < major || (foundMajor === major && foundMinor < minor);
}
