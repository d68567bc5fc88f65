package com.example.acme;

import com.example.acme.v1.RenderRequest;
import com.example.acme.v1.RenderResponse;
import com.example.acme.v1.ThumbnailerGrpc;
import com.google.rpc.ErrorInfo;
import io.grpc.ClientInterceptor;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** An ordinary client of a gRPC service, made of the service's own .proto: ADDRESS URL WIDTH [JOB-ID [SECONDS]]. */
public final class ThumbnailerClient {
  private static final Metadata.Key<String> JOB_ID = key("queuecall-job-id");
  private static final Metadata.Key<String> DISPOSITION = key("queuecall-disposition");

  public static void main(String[] arguments) throws Exception {
    List<String> args = List.of(arguments);
    String jobId = args.size() > 3 ? args.get(3) : "";
    long seconds = args.size() > 4 ? Long.parseLong(args.get(4)) : 30;
    ManagedChannel channel = ManagedChannelBuilder.forTarget(args.get(0)).usePlaintext().build();
    try {
      AtomicReference<Metadata> headers = new AtomicReference<>();
      AtomicReference<Metadata> trailers = new AtomicReference<>();
      RenderResponse response =
          ThumbnailerGrpc.newBlockingStub(channel)
              .withInterceptors(asJob(jobId), MetadataUtils.newCaptureMetadataInterceptor(headers, trailers))
              .withDeadlineAfter(seconds, TimeUnit.SECONDS)
              .render(RenderRequest.newBuilder().setUrl(args.get(1)).setWidth(Integer.parseInt(args.get(2))).build());
      System.out.println(response.getMediaType() + " " + response.getImage().toStringUtf8());
      if (!jobId.isEmpty()) System.out.println(headers.get().get(DISPOSITION));
    } catch (StatusRuntimeException error) {
      System.err.println(error.getStatus().getCode() + ": " + describe(error, jobId));
      System.exit(1);
    } finally {
      channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  /** Calls of the same id share one job; without an id, each is its own. */
  private static ClientInterceptor asJob(String id) {
    Metadata headers = new Metadata();
    if (!id.isEmpty()) headers.put(JOB_ID, id);
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  /** What the handler said; or which job goes on, where it was the wait that ended. */
  private static String describe(StatusRuntimeException error, String jobId) throws Exception {
    for (var detail : StatusProto.fromThrowable(error).getDetailsList()) {
      if (!detail.is(ErrorInfo.class)) continue;
      ErrorInfo info = detail.unpack(ErrorInfo.class);
      if (info.getReason().equals("WAIT_TIMEOUT")) return "job " + info.getMetadataOrThrow("job_id") + " goes on";
    }
    // The library's own deadline was first, as where connecting took long: whoever chose the id can ask again all the same.
    if (error.getStatus().getCode() == Status.Code.DEADLINE_EXCEEDED) return "job " + jobId + " goes on";
    return error.getStatus().getDescription();
  }

  private static Metadata.Key<String> key(String name) {
    return Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER);
  }

  private ThumbnailerClient() {}
}
