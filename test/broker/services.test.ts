/** What a broker knows of announced services, beside another broker of the same storage. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { ManualClock, turns } from "../../protocol/manual-clock.ts";
import { Services } from "../../server/broker/services.ts";
import { openStorage } from "../../server/storage/open.ts";
import type { Service, Storage } from "../../server/storage/storage.ts";

const name = "acme.v1.Thumbnailer";
const render: Service = { name, methods: [`/${name}/Render`] };

let clock: ManualClock;
let storage: Storage;
beforeEach(async () => {
  clock = new ManualClock();
  storage = await openStorage("memory:", { brokerId: "b", clock, warn: () => {} });
});
afterEach(() => storage.close());

function broker() {
  return new Services({
    clock,
    add: (service) => storage.addService(service),
    read: (service) => storage.service(service),
    names: () => storage.services(),
    forget: (service) => storage.forgetService(service),
    noRoom: () => expect.unreachable("there is room"),
  });
}

const found = async (services: Services) => (await services.find(name, `/${name}/Render`)) !== undefined;

/** Until what was begun without waiting for it is over. */
const rest = turns(20);

test("what was forgotten is gone here at once, at another broker half a minute later", async () => {
  const [here, there] = [broker(), broker()];
  here.announce([render]);
  await rest();
  expect([await found(here), await found(there)]).toEqual([true, true]);
  await here.forget(name);
  expect([await found(here), await found(there)]).toEqual([false, true]);
  await clock.advance(30_001);
  // Answered from memory once more, and read behind it.
  expect(await found(there)).toBe(true);
  await rest();
  expect(await found(there)).toBe(false);
});

test("a new stream brings it back: here at once, at another broker that had it announced half a minute later", async () => {
  const [here, there] = [broker(), broker()];
  for (const each of [here, there]) each.announce([render]);
  await rest();
  await here.forget(name);
  here.announce([render]);
  await rest();
  expect(await storage.services()).toEqual([name]);
  await here.forget(name);
  await clock.advance(30_001);
  there.announce([render]);
  await rest();
  expect(await storage.services()).toEqual([name]);
});

test("streams that say the same cost the storage one write", async () => {
  const here = broker();
  let writes = 0;
  const add = storage.addService.bind(storage);
  storage.addService = (service) => {
    writes++;
    return add(service);
  };
  for (let i = 0; i < 100; i++) here.announce([render]);
  await rest();
  here.announce([{ name, methods: [`/${name}/Crop`] }]);
  await rest();
  expect(writes).toBe(2);
});

test("a storage that comes back is told again what was announced, and not what was forgotten", async () => {
  const here = broker();
  here.announce([render, { name: "b.B", methods: ["/b.B/M"] }]);
  await rest();
  await here.forget(name);
  // As if it had lost all.
  await storage.forgetService("b.B");
  here.announceAgain();
  await rest();
  expect(await storage.services()).toEqual(["b.B"]);
});

test("pages go by name", async () => {
  const here = broker();
  const names = Array.from({ length: 23 }, (_, i) => `s.S${String(i).padStart(2, "0")}`);
  for (const each of names) await storage.addService({ name: each, methods: [`/${each}/M`] });
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const { page, next } = await here.page(after);
    expect(page.length).toBeLessThanOrEqual(10);
    seen.push(...page.map((service) => service.name));
    after = next;
  } while (after !== undefined);
  expect(seen).toEqual(names);
});
