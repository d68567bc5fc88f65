/** Commands as bytes of the Redis protocol, each made in one piece. */

const CR = 13;
const LF = 10;
/** A command that may be longer gets a buffer of its own. */
const USUAL_BYTES = 16 * 1024;
/** Of "$", a length and the ends of two lines. */
const AROUND_BYTES = 24;

const usual = Buffer.allocUnsafeSlow(USUAL_BYTES);
let out = usual;
let at = 0;

/** "*2\r\n$3\r\nGET\r\n$1\r\na\r\n" */
export function respOf(name: string, args: readonly (string | Buffer)[]): Buffer {
  const most = mostBytes(name, args);
  out = most <= USUAL_BYTES ? usual : Buffer.allocUnsafeSlow(most);
  at = 0;
  head("*", args.length + 1);
  text(name);
  for (const arg of args) {
    if (typeof arg === "string") text(arg);
    else bytes(arg);
  }
  return out === usual ? Buffer.from(out.subarray(0, at)) : out.subarray(0, at);
}

function mostBytes(name: string, args: readonly (string | Buffer)[]): number {
  let most = AROUND_BYTES * (args.length + 2) + name.length * 3;
  for (const arg of args) most += typeof arg === "string" ? arg.length * 3 : arg.length;
  return most;
}

function head(mark: "*" | "$", count: number): void {
  out[at++] = mark.charCodeAt(0);
  digits(count);
  line();
}

function digits(count: number): void {
  if (count > 9) digits(Math.floor(count / 10));
  out[at++] = 48 + (count % 10);
}

function line(): void {
  out[at++] = CR;
  out[at++] = LF;
}

function text(value: string): void {
  const start = at;
  head("$", value.length);
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code > 0x7f) return unicode(value, start);
    out[at++] = code;
  }
  line();
}

function unicode(value: string, start: number): void {
  at = start;
  head("$", Buffer.byteLength(value));
  at += out.write(value, at);
  line();
}

function bytes(value: Buffer): void {
  head("$", value.length);
  out.set(value, at);
  at += value.length;
  line();
}
