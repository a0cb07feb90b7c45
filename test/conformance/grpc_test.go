package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
)

// grpcMost is the largest message: larger than any window of ours.
const grpcMost = 5 << 20

// callService is a server of grpc-go. What it does is in the request.
type callService struct {
	testpb.UnimplementedTestServiceServer
	mu       sync.Mutex
	canceled int // calls whose context ended before they did
}

func (s *callService) EmptyCall(ctx context.Context, _ *testpb.Empty) (*testpb.Empty, error) {
	in, _ := metadata.FromIncomingContext(ctx)
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-head", first(in, "x-ask"), "x-bin", first(in, "x-data-bin")))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-tail", first(in, "x-ask")))
	return &testpb.Empty{}, nil
}

func first(md metadata.MD, name string) string {
	if all := md.Get(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

func (s *callService) UnaryCall(ctx context.Context, r *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if st := r.GetResponseStatus(); st != nil {
		return nil, grpcstatus.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	if r.GetResponseSize() < 0 { // never answers
		s.waitForEnd(ctx)
		return nil, grpcstatus.FromContextError(ctx.Err()).Err()
	}
	return &testpb.SimpleResponse{Payload: r.GetPayload()}, nil
}

func (s *callService) waitForEnd(ctx context.Context) {
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.canceled++
}

func (s *callService) ended() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.canceled
}

func (s *callService) StreamingOutputCall(r *testpb.StreamingOutputCallRequest, out grpc.ServerStreamingServer[testpb.StreamingOutputCallResponse]) error {
	for _, p := range r.GetResponseParameters() {
		if p.GetSize() < 0 {
			s.waitForEnd(out.Context())
			return grpcstatus.FromContextError(out.Context().Err()).Err()
		}
		if err := out.Send(&testpb.StreamingOutputCallResponse{Payload: payload(int(p.GetSize()))}); err != nil {
			return err
		}
	}
	if st := r.GetResponseStatus(); st != nil {
		return grpcstatus.Error(codes.Code(st.GetCode()), st.GetMessage())
	}
	return nil
}

func (s *callService) StreamingInputCall(in grpc.ClientStreamingServer[testpb.StreamingInputCallRequest, testpb.StreamingInputCallResponse]) error {
	sum := int32(0)
	for {
		r, err := in.Recv()
		if errors.Is(err, io.EOF) {
			return in.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		if body := r.GetPayload().GetBody(); !bytes.Equal(body, payload(len(body)).GetBody()) {
			return grpcstatus.Error(codes.DataLoss, "other bytes")
		}
		sum += int32(len(r.GetPayload().GetBody()))
	}
}

func (s *callService) FullDuplexCall(both grpc.BidiStreamingServer[testpb.StreamingOutputCallRequest, testpb.StreamingOutputCallResponse]) error {
	for {
		r, err := both.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if st := r.GetResponseStatus(); st != nil { // before the client has ended
			return grpcstatus.Error(codes.Code(st.GetCode()), st.GetMessage())
		}
		for _, p := range r.GetResponseParameters() {
			if err := both.Send(&testpb.StreamingOutputCallResponse{Payload: payload(int(p.GetSize()))}); err != nil {
				return err
			}
		}
	}
}

// payload is n bytes that tell where they belong.
func payload(n int) *testpb.Payload {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 31 >> 4)
	}
	return &testpb.Payload{Body: b}
}

// grpcRig is a client and a server of grpc-go with the engine between them.
func grpcRig(t *testing.T) (testpb.TestServiceClient, *callService) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := new(callService)
	s := grpc.NewServer(grpc.MaxRecvMsgSize(2 * grpcMost))
	testpb.RegisterTestServiceServer(s, service)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ln)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-done
	})
	addr := startEngine(t, ln.Addr().String())
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(2*grpcMost)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return testpb.NewTestServiceClient(conn), service
}

var grpcSizes = []int{0, 1, 100, 16_379, 16_384, 65_535, 65_536, 262_144, 1 << 20, grpcMost}

func TestGRPCUnary(t *testing.T) {
	client, _ := grpcRig(t)
	calls := 0
	for _, size := range grpcSizes {
		res, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{Payload: payload(size)})
		if err != nil || !bytes.Equal(res.GetPayload().GetBody(), payload(size).GetBody()) {
			t.Errorf("%d bytes: %d came back, %v", size, len(res.GetPayload().GetBody()), err)
		}
		calls++
	}
	for code := codes.Canceled; code <= codes.Unauthenticated; code++ {
		message := fmt.Sprintf("code %d: 100%% ü\n", code)
		_, err := client.UnaryCall(t.Context(), &testpb.SimpleRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(code), Message: message}})
		if st := grpcstatus.Convert(err); st.Code() != code || st.Message() != message {
			t.Errorf("status %v %q, want %v", st.Code(), st.Message(), code)
		}
		calls++
	}
	atLeast(t, "unary calls", calls, 26)
}

func TestGRPCMetadata(t *testing.T) {
	client, _ := grpcRig(t)
	var head, tail metadata.MD
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-ask", "something", "x-data-bin", "\x00\xff\x01")
	if _, err := client.EmptyCall(ctx, &testpb.Empty{}, grpc.Header(&head), grpc.Trailer(&tail)); err != nil {
		t.Fatal(err)
	}
	if first(head, "x-head") != "something" || first(head, "x-bin") != "\x00\xff\x01" || first(tail, "x-tail") != "something" {
		t.Errorf("head %v, tail %v", head, tail)
	}
	// A service that is not there is answered by nothing but trailers.
	if _, err := client.UnimplementedCall(t.Context(), &testpb.Empty{}); grpcstatus.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
}

func TestGRPCStreams(t *testing.T) {
	client, _ := grpcRig(t)
	messages := 0
	// From the server.
	ask := &testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.DataLoss), Message: "at the end"}}
	for _, size := range grpcSizes {
		ask.ResponseParameters = append(ask.ResponseParameters, &testpb.ResponseParameters{Size: int32(size)})
	}
	out, err := client.StreamingOutputCall(t.Context(), ask)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range grpcSizes {
		m, err := out.Recv()
		if err != nil || !bytes.Equal(m.GetPayload().GetBody(), payload(size).GetBody()) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		messages++
	}
	if _, err := out.Recv(); grpcstatus.Code(err) != codes.DataLoss {
		t.Error(err)
	}
	// From the client.
	in, err := client.StreamingInputCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, size := range grpcSizes {
		if err := in.Send(&testpb.StreamingInputCallRequest{Payload: payload(size)}); err != nil {
			t.Fatal(err)
		}
		sum += size
		messages++
	}
	if res, err := in.CloseAndRecv(); err != nil || int(res.GetAggregatedPayloadSize()) != sum {
		t.Errorf("%d bytes, want %d, %v", res.GetAggregatedPayloadSize(), sum, err)
	}
	// In turns.
	both, err := client.FullDuplexCall(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		for _, size := range grpcSizes[:8] {
			err := both.Send(&testpb.StreamingOutputCallRequest{
				Payload: payload(size), ResponseParameters: []*testpb.ResponseParameters{{Size: int32(size)}},
			})
			if err != nil {
				t.Fatal(err)
			}
			m, err := both.Recv()
			if err != nil || len(m.GetPayload().GetBody()) != size {
				t.Fatalf("%d bytes: %v", size, err)
			}
			messages++
		}
	}
	if err := both.CloseSend(); err != nil {
		t.Error(err)
	}
	if _, err := both.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	atLeast(t, "messages", messages, 180)
}

// A server may end a call before its client has.
func TestGRPCEndsEarly(t *testing.T) {
	client, _ := grpcRig(t)
	for range 20 {
		both, err := client.FullDuplexCall(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := both.Send(&testpb.StreamingOutputCallRequest{ResponseStatus: &testpb.EchoStatus{Code: int32(codes.ResourceExhausted)}}); err != nil {
			t.Fatal(err)
		}
		if _, err := both.Recv(); grpcstatus.Code(err) != codes.ResourceExhausted {
			t.Error(err)
		}
	}
}

func TestGRPCDeadlinesAndCancellation(t *testing.T) {
	client, service := grpcRig(t)
	hang := &testpb.SimpleRequest{ResponseSize: -1}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	if _, err := client.UnaryCall(ctx, hang); grpcstatus.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
	cancel()
	ctx, cancel = context.WithCancel(t.Context())
	out, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 5}, {Size: -1}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Recv(); err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := out.Recv(); grpcstatus.Code(err) != codes.Canceled {
		t.Error(err)
	}
	// The server learns of both.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for service.ended() < 2 {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the server was not told")
		}
	}
}

// Many calls of all kinds at a time, some of them called off.
func TestGRPCCrowd(t *testing.T) {
	client, _ := grpcRig(t)
	var done counter
	var wg sync.WaitGroup
	for n := range 32 {
		rng := rand.New(rand.NewPCG(uint64(n), 7))
		wg.Go(func() {
			for range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				switch rng.IntN(4) {
				case 0:
					out, err := client.StreamingOutputCall(ctx, &testpb.StreamingOutputCallRequest{ResponseParameters: []*testpb.ResponseParameters{{Size: 100_000}, {Size: -1}}})
					if err == nil {
						_, err = out.Recv()
					}
					if err != nil {
						t.Error(err)
					}
				default:
					size := rng.IntN(200_000)
					res, err := client.UnaryCall(ctx, &testpb.SimpleRequest{Payload: payload(size)})
					if err != nil || len(res.GetPayload().GetBody()) != size {
						t.Errorf("%d bytes: %v", size, err)
					}
				}
				cancel()
				done.Add(1)
			}
		})
	}
	wg.Wait()
	done.atLeast(t, "calls", 32*20)
}
