/** The files that say who may come in cannot be used. One line that says which, where and why. Exit code 78. */
export class AccessRefused extends Error {
  override readonly name = "AccessRefused";
}
