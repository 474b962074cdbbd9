// Package service is the exporting service at the edge of gRPC: it converts requests, calls the reconciler, and converts
// what comes back. Both doors end here.
//
// It must not know HTTP, nor how brokers are driven.
package service

import (
	"context"
	"log/slog"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
	"github.com/exportgate/exportgate/server/internal/exporting"
	"github.com/exportgate/exportgate/server/internal/reconcile"
)

// Controller pauses, resumes and looks; [reconcile.Reconciler] is one.
type Controller interface {
	Pause(context.Context, reconcile.PauseRequest) (reconcile.Result, error)
	Resume(context.Context, reconcile.ResumeRequest) (reconcile.Result, error)
	Status(context.Context) (*reconcile.Status, error)
}

// Service implements exportgate.v1.ExportingService.
type Service struct {
	// A new rpc is a compile error here, not an UNIMPLEMENTED at run time.
	exportgatev1.UnsafeExportingServiceServer

	controller Controller
	log        *slog.Logger
}

var _ exportgatev1.ExportingServiceServer = (*Service)(nil)

// New returns the service.
func New(controller Controller, log *slog.Logger) *Service {
	return &Service{controller: controller, log: log}
}

// Pause implements ExportingService.
func (s *Service) Pause(ctx context.Context, req *exportgatev1.PauseRequest) (*exportgatev1.PauseResponse, error) {
	onFailure, err := fromOnFailure(req.GetOnFailure())
	if err != nil {
		return nil, s.status(ctx, err)
	}
	phase := exporting.PhasePaused
	if req.GetSoft() {
		phase = exporting.PhaseSoftPaused
	}
	result, err := s.controller.Pause(ctx, reconcile.PauseRequest{
		Phase: phase, OnFailure: onFailure, ValidateOnly: req.GetValidateOnly(), Owner: owner(ctx),
	})
	if err != nil {
		return nil, s.status(ctx, err)
	}
	return &exportgatev1.PauseResponse{
		Hold: toHold(result.Hold), Changes: toChanges(result.Changes), Status: toStatus(result.Status),
	}, nil
}

// Resume implements ExportingService.
func (s *Service) Resume(ctx context.Context, req *exportgatev1.ResumeRequest) (*exportgatev1.ResumeResponse, error) {
	result, err := s.controller.Resume(ctx, reconcile.ResumeRequest{ValidateOnly: req.GetValidateOnly(), Owner: owner(ctx)})
	if err != nil {
		return nil, s.status(ctx, err)
	}
	return &exportgatev1.ResumeResponse{
		Released: toHold(result.Hold), Changes: toChanges(result.Changes), Status: toStatus(result.Status),
	}, nil
}

// GetStatus implements ExportingService.
func (s *Service) GetStatus(ctx context.Context, _ *exportgatev1.GetStatusRequest) (*exportgatev1.GetStatusResponse, error) {
	status, err := s.controller.Status(ctx)
	if err != nil {
		return nil, s.status(ctx, err)
	}
	return &exportgatev1.GetStatusResponse{Status: toStatus(status)}, nil
}
