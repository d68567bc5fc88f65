"""An implementation of somebody's service, as grpcio has it. Nothing in it knows of queuecall."""
import grpc
from acme.v1 import thumbnailer_pb2, thumbnailer_pb2_grpc


class Thumbnailer(thumbnailer_pb2_grpc.ThumbnailerServicer):
    def Render(self, request, context):
        if request.url == "missing":
            context.abort(grpc.StatusCode.NOT_FOUND, "no such image")
        image = f"{request.url} {request.width}".encode()
        return thumbnailer_pb2.RenderResponse(image=image, media_type="image/png")
