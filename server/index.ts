/** `queuecall/server`: a broker to embed. */
export { CallError, type Reason } from "../protocol/errors.ts";
export { AccessRefused } from "./access/refused.ts";
export { type BrokerServer, type BrokerServerOptions, createBroker, ListenRefused, type Logger } from "./server.ts";
export { type BrokerSettings, defaultSettings } from "./settings.ts";
export { type Durability, type StorageInfo, StorageRefused } from "./storage/storage.ts";
