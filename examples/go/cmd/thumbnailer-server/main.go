// An ordinary server: thumbnailer-server PORT
package main

import (
	"fmt"
	"log"
	"net"
	"os"

	acme "example.com/queuecall-go/gen/acme/v1"
	"example.com/queuecall-go/thumbnailer"
	"google.golang.org/grpc"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: thumbnailer-server PORT")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	acme.RegisterThumbnailerServer(server, thumbnailer.Thumbnailer{})
	fmt.Println("serving", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(server.Serve(listener))
}
