package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

const (
	watchStreams    = 100
	watchesPerLink  = 100
	deliveryTimeout = 60 * time.Second
)

func watchRows() []row {
	return []row{{
		name: "watch-10k", work: "10,000 watchers on one prefix (100 streams of 100), 256 B puts one after the other, each awaited by all",
		figures: []figure{
			{name: "CPU per event", unit: "µs", demand: 4, aim: 8},
			{name: "events", unit: "/s", higher: true},
			{name: "memory", unit: "MB"},
		},
		measure: watch10k,
	}}
}

// watchCrowd is the watchers and what they have seen.
type watchCrowd struct {
	delivered atomic.Int64
	target    atomic.Int64
	reached   chan struct{}
	failure   atomic.Value
}

func watch10k(b *bench, s *side) (values, error) {
	ctx, cancel := context.WithCancel(context.Background())
	crowd := &watchCrowd{reached: make(chan struct{}, 1)}
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	created := make(chan struct{}, watchStreams*watchesPerLink)
	for range watchStreams {
		conn, err := s.Dial()
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		group.Add(1)
		go func() {
			defer group.Done()
			if err := crowd.watch(ctx, conn, created); err != nil && ctx.Err() == nil {
				crowd.failure.Store(err)
			}
		}()
	}
	for range watchStreams * watchesPerLink {
		select {
		case <-created:
		case <-time.After(deliveryTimeout):
			return nil, fmt.Errorf("not all watches were created: %v", crowd.failure.Load())
		}
	}
	return crowd.feed(s, sized(b, 150, 20))
}

// watch opens one stream with its share of the watches and counts events until ctx ends.
func (c *watchCrowd) watch(ctx context.Context, conn *grpc.ClientConn, created chan<- struct{}) error {
	stream, err := pb.NewWatchClient(conn).Watch(ctx)
	if err != nil {
		return err
	}
	for range watchesPerLink {
		request := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{
			Key: []byte("/bench/"), RangeEnd: []byte("/bench0")}}}
		if err := stream.Send(request); err != nil {
			return err
		}
	}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if response.Canceled {
			return fmt.Errorf("a watch was canceled: %s", response.CancelReason)
		}
		if response.Created {
			created <- struct{}{}
		}
		if c.delivered.Add(int64(len(response.Events))) == c.target.Load() && len(response.Events) > 0 {
			c.reached <- struct{}{}
		}
	}
}

// feed puts keys one by one, each after all watchers have seen the last.
func (c *watchCrowd) feed(s *side, puts int) (values, error) {
	conn, err := s.Dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	kv := pb.NewKVClient(conn)
	value := make([]byte, 256)
	cpuBefore, began := s.cpu(), time.Now()
	for i := range puts {
		c.target.Add(watchStreams * watchesPerLink)
		if _, err := kv.Put(context.Background(), &pb.PutRequest{Key: fmt.Appendf(nil, "/bench/%d", i), Value: value}); err != nil {
			return nil, err
		}
		select {
		case <-c.reached:
		case <-time.After(deliveryTimeout):
			return nil, fmt.Errorf("%d of %d events delivered: %v", c.delivered.Load(), c.target.Load(), c.failure.Load())
		}
	}
	events := float64(puts * watchStreams * watchesPerLink)
	return values{
		"CPU per event": float64((s.cpu() - cpuBefore).Microseconds()) / events,
		"events":        events / time.Since(began).Seconds(),
		"memory":        s.anonMB(),
	}, nil
}
