// An ordinary client: thumbnailer-client ADDRESS URL WIDTH
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	acme "example.com/queuecall-go/gen/acme/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: thumbnailer-client ADDRESS URL WIDTH")
	}
	width, err := strconv.ParseInt(os.Args[3], 10, 32)
	if err != nil {
		log.Fatal(err)
	}
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	response, err := acme.NewThumbnailerClient(connection).Render(ctx, &acme.RenderRequest{Url: os.Args[2], Width: int32(width)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.GetMediaType(), string(response.GetImage()))
}
