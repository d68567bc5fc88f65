"""An ordinary client of it: python thumbnailer_client.py ADDRESS URL WIDTH"""
import sys

import grpc
from acme.v1 import thumbnailer_pb2, thumbnailer_pb2_grpc

address, url, width = sys.argv[1:]
thumbnailer = thumbnailer_pb2_grpc.ThumbnailerStub(grpc.insecure_channel(address))
response = thumbnailer.Render(thumbnailer_pb2.RenderRequest(url=url, width=int(width)), timeout=30)
print(response.media_type, response.image.decode())
