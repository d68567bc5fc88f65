"""An ordinary server of it: python thumbnailer_server.py PORT"""
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from acme.v1 import thumbnailer_pb2_grpc
from thumbnailer import Thumbnailer

server = grpc.server(ThreadPoolExecutor(32))
thumbnailer_pb2_grpc.add_ThumbnailerServicer_to_server(Thumbnailer(), server)
port = server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
print("serving", port, flush=True)
server.wait_for_termination()
