package main

import (
	"bytes"
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"example.com/queuecall-go/broker"
	wire "example.com/queuecall-go/gen/queuecall/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/keepalive"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"
)

// store puts a job where no worker is.
func (c *client) store(id string) {
	must(c.broker.Enqueue(soon(), &wire.EnqueueRequest{Spec: &wire.JobSpec{Queue: "nobody", JobId: id}}))
}

func deadline(c *client) any {
	c.store("go-deadline")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_, late := c.broker.WaitJob(ctx, &wire.WaitJobRequest{Queue: "nobody", JobId: "go-deadline"})
	over, cancelOver := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancelOver()
	_, short := c.broker.WaitJob(over, &wire.WaitJobRequest{Queue: "nobody", JobId: "go-deadline"})
	return map[string]any{"late": detailsOf(late), "short": codeOf(short)}
}

func cancellation(c *client) any {
	c.store("go-cancelled")
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(200*time.Millisecond, cancel)
	_, err := c.broker.WaitJob(ctx, &wire.WaitJobRequest{Queue: "nobody", JobId: "go-cancelled"})
	job := must(c.broker.GetJob(soon(), &wire.GetJobRequest{Queue: "nobody", JobId: "go-cancelled"})).GetJob()
	return map[string]any{"code": codeOf(err), "job": job.GetState().String()}
}

func metadata(c *client) any {
	ctx := grpcmetadata.AppendToOutgoingContext(soon(), "x-bytes-bin", "\x00\xff\x80", "x-text", "text", "x-text", "again")
	var trailer grpcmetadata.MD
	_, err := c.broker.GetJob(ctx, &wire.GetJobRequest{Queue: "nobody", JobId: "ein Märchen"}, grpc.Trailer(&trailer))
	first := func(name string) string { return append(trailer.Get(name), "")[0] }
	return map[string]any{
		"code":   codeOf(err),
		"reason": first("queuecall-reason"),
		"job_id": first("queuecall-job-id"),
		"binary": len(first("grpc-status-details-bin")) > 0 && first("grpc-status-details-bin")[0] == 8,
	}
}

func large(c *client) any {
	data := bytes.Repeat([]byte{7}, 1<<20)
	result, err := c.echo("go-large", data)
	_, tooLarge := c.echo("go-too-large", bytes.Repeat(data, 5))
	_, after := c.echo("go-after", nil)
	return map[string]any{"same": bytes.Equal(data, result), "code": codeOf(err), "too_large": codeOf(tooLarge), "after": codeOf(after)}
}

// compression is of the message; the answer of a refused one leaves the connection as it was.
func compression(c *client) any {
	data := bytes.Repeat([]byte("again "), 10_000)
	_, compressed := c.echo("go-gzip", data, grpc.UseCompressor(gzip.Name))
	_, other := c.echo("go-made-up", data, grpc.UseCompressor("made-up"))
	_, after := c.echo("go-plain", data)
	return map[string]any{"gzip": codeOf(compressed), "other": codeOf(other), "after": codeOf(after)}
}

// madeUp is an encoding that nobody else has.
type madeUp struct{}

func (madeUp) Name() string { return "made-up" }
func (madeUp) Compress(to io.Writer) (io.WriteCloser, error) {
	return encoding.GetCompressor(gzip.Name).Compress(to)
}
func (madeUp) Decompress(from io.Reader) (io.Reader, error) { return from, nil }

func init() { encoding.RegisterCompressor(madeUp{}) }

func details(c *client) any {
	_, err := c.broker.Enqueue(soon(), &wire.EnqueueRequest{Spec: &wire.JobSpec{Queue: "no queue"}})
	return detailsOf(err)
}

func unimplemented(c *client) any {
	saw := map[string]string{}
	for _, path := range []string{"/queuecall.v1.BrokerService/Nothing", "/nobody.Knows/Nothing"} {
		saw[path] = codeOf(c.connection.Invoke(soon(), path, &emptypb.Empty{}, &emptypb.Empty{}))
	}
	return saw
}

// keepAlive waits for longer than the shortest interval that grpc-go allows, and then calls again on the same connection.
func keepAlive(c *client) any {
	pings := keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}
	connection := must(grpc.NewClient(c.address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithKeepaliveParams(pings)))
	defer connection.Close()
	c.store("go-keepalive")
	request := &wire.WaitJobRequest{Queue: "nobody", JobId: "go-keepalive", WaitTimeout: durationpb.New(12 * time.Second)}
	_, err := wire.NewBrokerServiceClient(connection).WaitJob(soon(), request)
	return detailsOf(err)["reason"]
}

// connectionAge calls on and on while a call waits, for longer than a connection lives.
func connectionAge(c *client) any {
	connection := must(broker.Dial(c.ageing))
	defer connection.Close()
	aged := wire.NewBrokerServiceClient(connection)
	must(aged.Enqueue(soon(), &wire.EnqueueRequest{Spec: &wire.JobSpec{Queue: "nobody", JobId: "go-held"}}))
	var moved atomic.Bool
	go func() { moved.Store(connection.WaitForStateChange(soon(), connectivity.Ready)) }()
	held := make(chan error, 1)
	go func() {
		request := &wire.WaitJobRequest{Queue: "nobody", JobId: "go-held", WaitTimeout: durationpb.New(4 * time.Second)}
		_, err := aged.WaitJob(soon(), request)
		held <- err
	}()
	failed := 0
	for {
		select {
		case err := <-held:
			return map[string]any{"held": detailsOf(err)["reason"], "failed": failed, "moved": moved.Load()}
		default:
			if _, err := aged.GetJob(soon(), &wire.GetJobRequest{Queue: "nobody", JobId: "go-held"}); err != nil {
				failed++
			}
		}
	}
}

func watch(c *client) any {
	must(c.echo("go-watched", nil))
	stream := must(c.broker.WatchJob(soon(), &wire.WatchJobRequest{Queue: "echo", JobId: "go-watched"}))
	job := must(stream.Recv()).GetJob()
	_, err := stream.Recv()
	return map[string]any{"state": job.GetState().String(), "ends": err == io.EOF}
}

// many are more than the streams that some servers allow on one connection.
func many(c *client) any {
	var group sync.WaitGroup
	var answered atomic.Int32
	for range 500 {
		group.Go(func() {
			if _, err := c.echo("", []byte("x")); err == nil {
				answered.Add(1)
			}
		})
	}
	group.Wait()
	return answered.Load()
}
