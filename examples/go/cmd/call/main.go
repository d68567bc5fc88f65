// Calls a worker and prints its answer: call ADDRESS QUEUE JSON [JOB_ID]
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"example.com/queuecall-go/broker"
	"example.com/queuecall-go/caller"
	wire "example.com/queuecall-go/gen/queuecall/v1"
)

func main() {
	if len(os.Args) < 4 {
		log.Fatal("usage: call ADDRESS QUEUE JSON [JOB_ID]")
	}
	connection, err := broker.Dial(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	payload := &wire.Payload{Data: []byte(os.Args[3]), ContentType: "application/json"}
	spec := &wire.JobSpec{Queue: os.Args[2], Payload: payload}
	if len(os.Args) > 4 {
		spec.JobId = os.Args[4]
	}
	result, err := caller.Call(wire.NewBrokerServiceClient(connection), spec, 30*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(result))
}
