package probe

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// maxMessage bounds an answer, which is an enumeration, in bytes.
const maxMessage = 4 << 10

// overGRPC calls grpc.health.v1.Health/Check in plaintext, as the kubelet does.
func overGRPC(service string) func(context.Context, string) error {
	return func(ctx context.Context, address string) error {
		conn, err := grpc.NewClient("passthrough:///"+address,
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent(userAgent), grpc.WithNoProxy(),
			grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
		if err != nil {
			return fmt.Errorf("connect: %w", err)
		}
		defer func() { _ = conn.Close() }() // it was made for this one call
		answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil {
			return fmt.Errorf("the answer is %v", status.Code(err))
		}
		if s := answer.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
			return fmt.Errorf("the answer is %v", s)
		}
		return nil
	}
}
