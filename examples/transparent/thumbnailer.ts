/** What is done with a request: an ordinary implementation, as Connect's `router.service` takes it. */
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { Thumbnailer } from "./gen/acme/v1/thumbnailer_pb.js";

export const thumbnailer: Pick<ServiceImpl<typeof Thumbnailer>, "render"> = {
  render({ url, width }, context) {
    if (url === "") throw new ConnectError("which image?", Code.InvalidArgument);
    context.responseHeader.set("x-rendered-by", String(process.pid));
    return { image: Buffer.from(`${url} ${width}`), mediaType: "image/png" };
  },
};
