/** Java: the example, in a copy, built by Maven as its README says. */
import { Stop } from "../process.mjs";
import { answer, howToInstall, installIfPossible, isOlder } from "../setup.mjs";
import { copyOf, setupOf, shell } from "./readme.mjs";

const OLDEST_JAVA = [17, 0];
const JAVA = {
  "apt-get": "default-jdk-headless maven",
  apk: "openjdk17 maven",
  dnf: "java-17-openjdk-devel maven",
  brew: "openjdk maven",
};

/** @returns {Record<string, string>} what the tests look for */
export function java() {
  if (!ready()) installIfPossible(JAVA);
  if (!ready()) {
    const how = howToInstall(JAVA, "install a JDK and Maven");
    throw new Stop(`the Java test needs Java ${OLDEST_JAVA[0]} or newer and Maven on PATH: ${how}`);
  }
  const folder = copyOf("java", "transparent");
  shell(setupOf("examples/java/README.md", "mvn "), { cwd: folder });
  return { JAVA_EXAMPLE: folder };
}

/** "javac 17.0.15" */
const version = () => /javac (\d+(?:\.\d+)?)/.exec(answer("javac", ["-version"]) ?? "")?.[1] ?? "";
const ready = () => !isOlder(`${version()}.0`, OLDEST_JAVA) && answer("mvn", ["-version"]) !== undefined;
