package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// maxGoConnections: beyond that the official client's own connections are what is measured.
const maxGoConnections = 100

func putRows() []row {
	return []row{
		{
			name: "put", work: "put 256 B on one key, 1,000 in flight on 10 connections, by h2load",
			rounds: 2,
			figures: []figure{
				{name: "requests", unit: "/s", higher: true, demand: 5, aim: 8},
				{name: "CPU per request", unit: "µs", demand: 5, aim: 5, aimLimit: 5},
			},
			measure: func(b *bench, s *side) (values, error) {
				return s.h2loadPut(sized(b, 4*time.Second, 2*time.Second))
			},
		},
		{
			name: "put-keys", work: "the same on 100,000 keys in turn, by holdfast_load",
			rounds:  2,
			figures: requestFigures(5, 8, 5, 8),
			measure: func(b *bench, s *side) (values, error) {
				return s.loadPhase("put", "put", "--keys", "100000", "--seconds", b.seconds(4, 2))
			},
		},
		goPutRow(1, 1.2, 1.3), goPutRow(100, 2, 2.3), goPutRow(1000, 2.2, 2.6),
	}
}

func goPutRow(clients int, demand, aim float64) row {
	return row{
		name:    fmt.Sprintf("put-go-%d", clients),
		work:    fmt.Sprintf("put 256 B by the official Go client, %d at a time on %d connections", clients, min(clients, maxGoConnections)),
		rounds:  2,
		figures: requestFigures(demand, aim, 0, 0),
		measure: func(b *bench, s *side) (values, error) { return goPut(b, s, clients) },
	}
}

func newClient(s *side) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{s.ClientAddr()}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
}

func goPut(b *bench, s *side, clients int) (values, error) {
	pool := make([]*clientv3.Client, min(clients, maxGoConnections))
	for i := range pool {
		client, err := newClient(s)
		if err != nil {
			return nil, err
		}
		defer client.Close()
		pool[i] = client
		if _, err := client.Get(context.Background(), "warm"); err != nil {
			return nil, err
		}
	}
	duration := sized(b, 4*time.Second, 2*time.Second)
	value := strings.Repeat("v", 256)
	latencies := make([][]time.Duration, clients)
	var failure atomic.Value
	var group sync.WaitGroup
	cpuBefore, began := s.cpu(), time.Now()
	for i := range clients {
		group.Add(1)
		go func() {
			defer group.Done()
			key := fmt.Sprintf("/bench/%08d", i)
			for start := time.Now(); start.Sub(began) < duration; {
				if _, err := pool[i%len(pool)].Put(context.Background(), key, value); err != nil {
					failure.Store(err)
					return
				}
				end := time.Now()
				latencies[i] = append(latencies[i], end.Sub(start))
				start = end
			}
		}()
	}
	group.Wait()
	elapsed, used := time.Since(began), s.cpu()-cpuBefore
	if err, failed := failure.Load().(error); failed {
		return nil, err
	}
	all := slices.Concat(latencies...)
	slices.Sort(all)
	return values{
		"requests":        float64(len(all)) / elapsed.Seconds(),
		"CPU per request": float64(used.Microseconds()) / float64(len(all)),
		"p99":             all[len(all)*99/100].Seconds() * 1e3,
	}, nil
}
