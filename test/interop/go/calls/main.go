// Ordinary calls of a stub: the same as ../../calls.py.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"sync"
	"time"

	acme "example.com/queuecall-go/gen/acme/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

type call struct {
	URL     string
	Width   int32
	JobID   string `json:"job_id"`
	Seconds int
}

func (c call) render(client acme.ThumbnailerClient) map[string]string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(max(c.Seconds, 60))*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-tenant", "acme", "x-trace-bin", "\x00\xff")
	if c.JobID != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "queuecall-job-id", c.JobID)
	}
	var header metadata.MD
	response, err := client.Render(ctx, &acme.RenderRequest{Url: c.URL, Width: c.Width}, grpc.Header(&header))
	if err != nil {
		return map[string]string{"code": code.Code(status.Code(err)).String(), "message": status.Convert(err).Message()}
	}
	disposition := append(header.Get("queuecall-disposition"), "")[0]
	return map[string]string{"image": string(response.GetImage()), "media_type": response.GetMediaType(), "disposition": disposition}
}

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	var calls []call
	if err := json.NewDecoder(os.Stdin).Decode(&calls); err != nil {
		log.Fatal(err)
	}
	client := acme.NewThumbnailerClient(connection)
	answers := make([]map[string]string, len(calls))
	var group sync.WaitGroup
	for i, each := range calls {
		group.Go(func() { answers[i] = each.render(client) })
	}
	group.Wait()
	for _, answer := range answers {
		json.NewEncoder(os.Stdout).Encode(answer)
	}
}
