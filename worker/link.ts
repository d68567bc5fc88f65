/** The seam under a stream: messages in, messages out. Here over grpc-js; tests and simulators bring their own. */
import { type ChannelOptions, Client, credentials, Metadata } from "@grpc/grpc-js";
import {
  type WorkRequest,
  WorkRequestSchema,
  type WorkResponse,
  WorkResponseSchema,
} from "../gen/queuecall/v1/worker_pb.js";
import { version } from "../protocol/version.ts";
import { decode, encode } from "../protocol/wire.ts";

/** How a stream ended: a gRPC status. It informs people; no decision hangs on it. */
export interface LinkEnd {
  code: number;
  message: string;
}

export interface LinkEvents {
  message(message: WorkResponse): void;
  /** It takes more again after `writable` was false. */
  writable(): void;
  /** Called once, unless `destroy` came first. */
  ended(end: LinkEnd): void;
}

/** The worker's end of a stream. */
export interface Link {
  /** True while the transport takes more without queueing it. */
  readonly writable: boolean;
  send(message: WorkRequest): void;
  /** Half-closes: nothing more to say. */
  end(): void;
  /** Frees everything, cutting the stream if it still lives. Safe to call more than once. */
  destroy(): void;
}

export type Dial = (url: string, events: LinkEvents) => Link;

/** TLS, as PEM text or bytes. `https://` alone uses the system's roots. */
export interface TlsOptions {
  /** Certificates to trust instead of the system's roots. */
  ca?: string | Uint8Array;
  /** Client certificate chain, for mutual TLS. With `key`. */
  cert?: string | Uint8Array;
  /** Its private key. */
  key?: string | Uint8Array;
  /** Expect this name in the broker's certificate instead of the host in the url. */
  serverName?: string;
}

export interface GrpcOptions {
  token?: string | undefined;
  tls?: TlsOptions | undefined;
}

const METHOD = "/queuecall.v1.WorkerService/Work";
/** Sent as client_info and user agent. */
export const CLIENT_INFO = `queuecall-ts/${version()}`;

/** What a broker may send is announced in welcome, what a server may send is its own affair. */
const unlimited: ChannelOptions = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

const channelOptions: ChannelOptions = {
  // Below the silence limit of our own pings, which see further; this one finds dead connections during the handshake.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // A stream is its own retry unit.
  "grpc.enable_retries": 0,
  "grpc.service_config_disable_resolution": 1,
  // A connection per stream: a new stream never lands on the draining or poisoned connection of the old one.
  "grpc.use_local_subchannel_pool": 1,
  // 64 KiB, the default, stalls large deliveries.
  "grpc-node.flow_control_window": 1024 * 1024,
  "grpc.primary_user_agent": CLIENT_INFO,
};

/** Opens streams over grpc-js. */
export function grpcDial(options: GrpcOptions): Dial {
  return (url, events) => {
    const client = openClient(url, options.tls, channelOptions);
    const metadata = new Metadata();
    if (options.token !== undefined) metadata.set("authorization", `Bearer ${options.token}`);
    const call = client.makeBidiStreamRequest(METHOD, serialize, deserialize, metadata);
    let writable = true;
    let done = false;
    call.on("data", (message: WorkResponse) => events.message(message));
    call.on("drain", () => {
      writable = true;
      events.writable();
    });
    // The status follows every error and says the same.
    call.on("error", () => {});
    call.on("status", ({ code, details }) => {
      if (done) return;
      events.ended({ code, message: details });
    });
    return {
      get writable() {
        return writable;
      },
      send(message) {
        writable = call.write(message);
      },
      end() {
        call.end();
      },
      destroy() {
        if (done) return;
        done = true;
        call.cancel();
        client.close();
      },
    };
  };
}

/** @throws TypeError where the url is none of http://, https://, unix: */
export function parseUrl(url: string): { address: string; secure: boolean } {
  if (url.startsWith("unix:")) return { address: url, secure: false };
  const parsed = URL.parse(url);
  if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:") || parsed.pathname.length > 1) {
    throw new TypeError(`url ${JSON.stringify(url)}: give http://host:port, https://host:port or unix:/path`);
  }
  const secure = parsed.protocol === "https:";
  return { address: `${parsed.hostname}:${parsed.port || (secure ? 443 : 80)}`, secure };
}

export function openClient(url: string, tls: TlsOptions | undefined, more: ChannelOptions): Client {
  const { address, secure } = parseUrl(url);
  const options = { ...unlimited, ...more };
  if (!secure) return new Client(address, credentials.createInsecure(), options);
  const name = tls?.serverName;
  return new Client(address, credentials.createSsl(bytes(tls?.ca), bytes(tls?.key), bytes(tls?.cert)), {
    ...options,
    ...(name !== undefined && { "grpc.ssl_target_name_override": name, "grpc.default_authority": name }),
  });
}

function bytes(value: string | Uint8Array | undefined): Buffer | null {
  return value === undefined ? null : Buffer.from(value as string);
}

function serialize(message: WorkRequest): Buffer {
  const { buffer, byteOffset, byteLength } = encode(WorkRequestSchema, message);
  return Buffer.from(buffer, byteOffset, byteLength);
}

function deserialize(data: Buffer): WorkResponse {
  return decode(WorkResponseSchema, data);
}
