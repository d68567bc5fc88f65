/** Announced services: what is remembered of them, and within which bounds. */
import { expect, test } from "vitest";
import { MAX_SERVICE_METHODS, MAX_SERVICES } from "../../../protocol/limits.ts";
import { findingsInService } from "../../../server/storage/fsck.ts";
import { onEveryBackend } from "./rig.ts";

const name = "acme.v1.Thumbnailer";
const methods = [`/${name}/Render`];

onEveryBackend("services", (rig) => {
  /** Bytes are what counts, not the class that they come in. */
  const find = async (of = rig.storage) => {
    const service = await of.service(name);
    return service?.descriptorSet ? { ...service, descriptorSet: Buffer.from(service.descriptorSet) } : service;
  };

  test("nobody announced any", async () => {
    expect(await rig.storage.services()).toEqual([]);
    expect(await rig.storage.service(name)).toBeUndefined();
  });

  test("one is there for good, with all methods that were ever announced and the newest descriptors", async () => {
    expect(await rig.storage.addService({ name, methods })).toBe("added");
    expect(await rig.storage.addService({ name, methods })).toBe("added");
    expect(await rig.storage.service(name)).toEqual({ name, methods });
    const descriptorSet = Buffer.from([0, 255, 10, 13]);
    await rig.storage.addService({ name, methods: [`/${name}/Crop`], descriptorSet });
    await rig.storage.addService({ name, methods });
    await rig.storage.addService({ name: "b.B", methods: ["/b.B/M"] });
    const all = { name, methods: [`/${name}/Crop`, ...methods], descriptorSet };
    expect(await find()).toEqual(all);
    await rig.opened.reopen?.();
    expect(await rig.storage.services()).toEqual([name, "b.B"]);
    expect(await find()).toEqual(all);
    const peer = await rig.opened.peer?.("b2");
    if (peer) expect(await find(peer)).toEqual(all);
    await rig.storage.addService({ name, methods, descriptorSet: Buffer.from("newer") });
    expect((await find())?.descriptorSet).toEqual(Buffer.from("newer"));
    for (const each of await rig.storage.services()) {
      expect(findingsInService(each, await rig.storage.service(each))).toEqual([]);
    }
  });

  test("one that is forgotten is not there, whoever asks, and can be announced afresh", async () => {
    await rig.storage.addService({ name, methods, descriptorSet: Buffer.from("old") });
    await rig.storage.addService({ name: "b.B", methods: ["/b.B/M"] });
    await rig.enqueue("a", { queue: name });
    // Twice, as after a reply that was lost.
    for (const _ of [1, 2]) await rig.storage.forgetService(name);
    await rig.opened.reopen?.();
    const peer = await rig.opened.peer?.("b2");
    for (const storage of [rig.storage, ...(peer ? [peer] : [])]) {
      expect(await storage.services()).toEqual(["b.B"]);
      expect(await storage.service(name)).toBeUndefined();
    }
    expect(await rig.claimIds({ queue: name })).toEqual(["a"]);
    await rig.storage.addService({ name, methods: [`/${name}/Crop`] });
    expect(await rig.storage.service(name)).toEqual({ name, methods: [`/${name}/Crop`] });
  });

  test("a service is no queue, also where a queue has its name", async () => {
    await rig.storage.addService({ name, methods });
    expect((await rig.storage.queues()).queues).toEqual([]);
    await rig.enqueue("a", { queue: name });
    expect(await rig.claimIds({ queue: name })).toEqual(["a"]);
    expect(await rig.storage.service(name)).toEqual({ name, methods });
  });

  test("there is room for so many methods, and so many services; what is there can still be announced", async () => {
    const many = Array.from({ length: MAX_SERVICE_METHODS }, (_, i) => `/${name}/M${i}`).sort();
    expect(await rig.storage.addService({ name, methods: many, descriptorSet: Buffer.from("x") })).toBe("added");
    expect(await rig.storage.addService({ name, methods })).toBe("full");
    expect(await rig.storage.addService({ name, methods: many.slice(3, 9) })).toBe("added");
    expect((await rig.storage.service(name))?.methods).toEqual(many);
    const others = Array.from({ length: MAX_SERVICES }, (_, i) => `other.S${i}`);
    const answers = await Promise.all(
      others.map((each) => rig.storage.addService({ name: each, methods: [`/${each}/M`] })),
    );
    expect(answers.filter((answer) => answer === "full")).toHaveLength(1);
    expect(await rig.storage.addService({ name, methods: many.slice(0, 1) })).toBe("added");
    expect(await rig.storage.services()).toHaveLength(MAX_SERVICES);
  });
});
