// A worker in the server's place, with the same implementation: thumbnailer-worker ADDRESS
package main

import (
	"log"
	"os"

	"example.com/queuecall-go/broker"
	acme "example.com/queuecall-go/gen/acme/v1"
	wire "example.com/queuecall-go/gen/queuecall/v1"
	"example.com/queuecall-go/service"
	"example.com/queuecall-go/thumbnailer"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: thumbnailer-worker ADDRESS")
	}
	connection, err := broker.Dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	client := wire.NewWorkerServiceClient(connection)
	log.Fatal(service.Work(client, &acme.Thumbnailer_ServiceDesc, thumbnailer.Thumbnailer{}, 4))
}
