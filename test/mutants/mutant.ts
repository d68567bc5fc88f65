/** A small change that puts a known bug back: what it is, and which tests must turn red. */
export interface Mutant {
  name: string;
  /** What goes wrong with it. */
  why: string;
  /** From the repository's root. */
  file: string;
  /** Text that is in the file exactly once. */
  find: string;
  replace: string;
  /** Test files of which at least one must find it. */
  tests: readonly string[];
  /** Only tests whose full name matches: which backend, which part. */
  only?: RegExp;
}

/**
 * The file's text with the bug in it.
 * @throws where the text to change is not there exactly once: code that moves takes its mutants along
 */
export function mutated({ name, file, find, replace }: Mutant, text: string): string {
  const places = text.split(find).length - 1;
  if (places !== 1) {
    throw new Error(`mutant ${name}: its text is ${places} times in ${file}, not once; adapt it in test/mutants`);
  }
  return text.replace(find, () => replace);
}
