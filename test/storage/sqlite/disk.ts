/**
 * A disk that loses power. From the files as they were before and after one commit that was answered: what may be on it
 * if the power goes while that commit runs. Between two answers SQLite appends to the log and syncs it; sometimes it then
 * copies the log into the main file and syncs that. What is not synced yet may be there in part, and in any order.
 */
export interface Files {
  /** The main file. */
  db: Buffer;
  /** The write-ahead log. */
  wal: Buffer;
}

export interface Image {
  /** For the message of a failure. */
  title: string;
  /** The log was synced: the commit must be there. Otherwise it is there whole, or not at all. */
  synced: boolean;
  files(): Files;
}

/** From and up to: bytes that reached the disk. */
type Range = readonly [number, number];

interface Part {
  title: string;
  bytes(): Buffer;
}

/** What a disk writes in one piece. */
const SECTOR = 512;
const WAL_HEADER = 32;
const FRAME_HEADER = 24;
const FRAME = FRAME_HEADER + 4096;

/** @param random from 0 to 1: chooses which sectors are lost */
export function* imagesBetween(before: Files, after: Files, random: () => number): Generator<Image> {
  for (const { title, bytes } of partsOf(before.wal, after.wal, random)) {
    yield { title: `log ${title}`, synced: false, files: () => ({ db: before.db, wal: bytes() }) };
  }
  yield { title: "log whole", synced: true, files: () => ({ db: before.db, wal: after.wal }) };
  for (const { title, bytes } of subsetsOf(before.db, after.db, random)) {
    yield { title: `main file ${title}`, synced: true, files: () => ({ db: bytes(), wal: after.wal }) };
  }
}

function* partsOf(before: Buffer, after: Buffer, random: () => number): Generator<Part> {
  yield* tornTails(before, after);
  yield* missingFrames(before, after);
  yield* subsetsOf(before, after, random);
  const last = changedSectors(before, after).at(-1);
  if (last === undefined) return;
  const end = Math.min(last + SECTOR, after.length);
  yield { title: "with its last sector zeroed", bytes: () => Buffer.from(after).fill(0, last, end) };
  yield { title: "with a bit of its last sector flipped", bytes: () => flipped(after, (last + end) >> 1) };
}

/** Cut at each frame's edges and inside of it. */
function* tornTails(before: Buffer, after: Buffer): Generator<Part> {
  const first = changedSectors(before, after)[0] ?? after.length;
  const cuts = [1, WAL_HEADER - 1];
  for (let frame = WAL_HEADER; frame < after.length; frame += FRAME) {
    cuts.push(frame, frame + 1, frame + FRAME_HEADER, frame + FRAME / 2, frame + FRAME - 1);
  }
  for (const cut of cuts.filter((each) => each >= first && each < after.length)) {
    yield { title: `cut after ${cut} bytes`, bytes: () => merged(before, after, [[0, cut]]) };
  }
}

function* missingFrames(before: Buffer, after: Buffer): Generator<Part> {
  for (let frame = WAL_HEADER; frame + FRAME <= after.length; frame += FRAME) {
    if (before.subarray(frame, frame + FRAME).equals(after.subarray(frame, frame + FRAME))) continue;
    const ranges: Range[] = [
      [0, frame],
      [frame + FRAME, after.length],
    ];
    yield { title: `without the frame at ${frame}`, bytes: () => merged(before, after, ranges) };
  }
}

/** Sectors reach the disk in any order: some of them did. */
function* subsetsOf(before: Buffer, after: Buffer, random: () => number): Generator<Part> {
  const sectors = changedSectors(before, after);
  for (const share of [0.3, 0.6, 0.9]) {
    const written = sectors.filter(() => random() < share);
    if (written.length === sectors.length) continue;
    const ranges = written.map((at): Range => [at, at + SECTOR]);
    const title = `with ${written.length} of ${sectors.length} sectors`;
    yield { title, bytes: () => merged(before, after, ranges) };
  }
}

function changedSectors(before: Buffer, after: Buffer): number[] {
  const sectors: number[] = [];
  for (let at = 0; at < after.length; at += SECTOR) {
    if (!before.subarray(at, at + SECTOR).equals(after.subarray(at, at + SECTOR))) sectors.push(at);
  }
  return sectors;
}

/** What was there before, and over it the ranges of what came after; zeros where nothing was written. */
function merged(before: Buffer, after: Buffer, ranges: readonly Range[]): Buffer {
  const end = Math.max(before.length, ...ranges.map(([, to]) => Math.min(to, after.length)));
  const bytes = Buffer.alloc(end);
  before.copy(bytes);
  for (const [from, to] of ranges) after.copy(bytes, from, from, to);
  return bytes;
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = copy[at]! ^ 0x10;
  return copy;
}
