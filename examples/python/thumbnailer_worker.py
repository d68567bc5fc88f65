"""A worker in the server's place, with the same implementation: python thumbnailer_worker.py ADDRESS"""
import sys

from acme.v1 import thumbnailer_pb2
from service_worker import serve
from thumbnailer import Thumbnailer

serve(sys.argv[1], thumbnailer_pb2.DESCRIPTOR.services_by_name["Thumbnailer"], Thumbnailer())
