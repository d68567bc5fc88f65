// Package thumbnailer implements somebody's service, as grpc-go has it. Nothing in it knows of queuecall.
package thumbnailer

import (
	"context"
	"fmt"

	acme "example.com/queuecall-go/gen/acme/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type Thumbnailer struct {
	acme.UnimplementedThumbnailerServer
}

func (Thumbnailer) Render(_ context.Context, request *acme.RenderRequest) (*acme.RenderResponse, error) {
	if request.GetUrl() == "missing" {
		return nil, status.Error(codes.NotFound, "no such image")
	}
	image := fmt.Appendf(nil, "%s %d", request.GetUrl(), request.GetWidth())
	return &acme.RenderResponse{Image: image, MediaType: "image/png"}, nil
}
