// Package service is the exporting service at the edge of gRPC: it converts requests, calls the reconciler, and converts
// what comes back. Both doors end here.
//
// It must not know HTTP, nor how brokers are driven.
package service

import (
	"context"
	"log/slog"

	"google.golang.org/grpc"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/caller"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Controller pauses, resumes and looks; [reconcile.Reconciler] is one.
type Controller interface {
	Pause(context.Context, reconcile.PauseRequest) (reconcile.Result, error)
	Resume(context.Context, reconcile.ResumeRequest) (reconcile.Result, error)
	Status(context.Context) (*reconcile.Status, error)
	Watch(cursor string) *reconcile.Watch
}

// Service implements exportgate.v1.ExportingService.
type Service struct {
	// A new rpc is a compile error here, not an UNIMPLEMENTED at run time.
	exportgatev1.UnsafeExportingServiceServer

	controller Controller
	log        *slog.Logger
	updates    updates
}

var _ exportgatev1.ExportingServiceServer = (*Service)(nil)

// New returns the service.
func New(controller Controller, log *slog.Logger) *Service {
	return &Service{controller: controller, log: log}
}

// Pause implements ExportingService.
func (s *Service) Pause(ctx context.Context, req *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
	asked, err := fromPause(req)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	asked.Owner, asked.OwnOnly, asked.MaxTTL = owner(ctx), ownOnly(ctx), caller.From(ctx).MaxTTL
	result, err := s.controller.Pause(ctx, asked)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	return &exportgatev1.PauseResponse{
		Hold: toLiveHold(result.Status, result.Hold), Changes: toChanges(result.Changes), Status: toStatus(result.Status),
	}, nil
}

// Resume implements ExportingService.
func (s *Service) Resume(ctx context.Context, req *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
	asked, err := fromResume(req)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	asked.Owner, asked.OwnOnly = owner(ctx), ownOnly(ctx)
	result, err := s.controller.Resume(ctx, asked)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	response := &exportgatev1.ResumeResponse{
		Released: toHold(result.Hold, result.Verdict), Changes: toChanges(result.Changes), Status: toStatus(result.Status),
	}
	for i := range result.Forced {
		response.Forced = append(response.Forced, toHold(&result.Forced[i].Hold, result.Forced[i].Continuity))
	}
	if result.Unrecorded {
		response.Unrecorded = response.GetForced()
	}
	return response, nil
}

// GetStatus implements ExportingService.
func (s *Service) GetStatus(ctx context.Context, _ *exportgatev1.GetStatusRequest) (*exportgatev1.GetStatusResponse, error) {
	status, err := s.controller.Status(ctx)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	return &exportgatev1.GetStatusResponse{Status: toStatus(status)}, nil
}

// WatchStatus implements ExportingService.
func (s *Service) WatchStatus(req *exportgatev1.WatchStatusRequest,
	stream grpc.ServerStreamingServer[exportgatev1.WatchStatusResponse],
) error {
	ctx := stream.Context()
	cursor, err := fromCursor(req.GetCursor())
	if err != nil {
		return s.status(ctx, err)
	}
	watch := s.controller.Watch(cursor)
	for {
		update, err := watch.Next(ctx)
		if ctx.Err() != nil {
			err = context.Cause(ctx) // It tells whether the server stops or the client has left.
		}
		if err != nil {
			return s.status(ctx, err)
		}
		if err := stream.Send(s.updates.response(update)); err != nil {
			return err
		}
	}
}
