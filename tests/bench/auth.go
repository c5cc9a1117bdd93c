package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// authRows compare each server with itself: puts by a user with a token, and by nobody while
// authentication is off.
func authRows() []row {
	return []row{{
		name: "put-auth", work: "the put row as a user with a token, beside the same without authentication",
		rounds: 2,
		figures: []figure{
			{name: "CPU, auth on to off", unit: "×", limit: 1.1},
			{name: "CPU per request", unit: "µs", demand: 5},
			{name: "requests", unit: "/s", higher: true, demand: 5},
		},
		measure: measureAuth,
	}}
}

const benchUser, benchPassword = "bench", "bench"

func measureAuth(b *bench, s *side) (values, error) {
	duration := sized(b, 4*time.Second, 2*time.Second)
	off, err := s.h2loadPut(duration)
	if err != nil {
		return nil, err
	}
	token, err := s.enableAuth()
	if err != nil {
		return nil, err
	}
	on, err := s.h2loadPut(duration, "token: "+token)
	if err != nil {
		return nil, err
	}
	on["CPU, auth on to off"] = ratio(on["CPU per request"], off["CPU per request"])
	return on, s.disableAuth()
}

// enableAuth makes root and a user with a handful of permissions, of which one counts, and logs the
// user in.
func (s *side) enableAuth() (string, error) {
	client, err := newClient(s)
	if err != nil {
		return "", err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	users, err := client.UserList(ctx)
	if err != nil {
		return "", err
	}
	if len(users.Users) == 0 { // else an earlier round made them
		steps := []func() error{
			func() error { _, err := client.UserAdd(ctx, "root", benchPassword); return err },
			func() error { _, err := client.UserGrantRole(ctx, "root", "root"); return err },
			func() error { _, err := client.UserAdd(ctx, benchUser, benchPassword); return err },
			func() error { _, err := client.RoleAdd(ctx, benchUser); return err },
			func() error { _, err := client.UserGrantRole(ctx, benchUser, benchUser); return err },
		}
		for _, prefix := range []string{"/bench/", "/a/", "/m/", "/z/"} {
			steps = append(steps, func() error {
				_, err := client.RoleGrantPermission(ctx, benchUser, prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
				return err
			})
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return "", fmt.Errorf("making users: %w", err)
			}
		}
	}
	if _, err := client.AuthEnable(ctx); err != nil {
		return "", err
	}
	response, err := pb.NewAuthClient(client.ActiveConnection()).Authenticate(ctx, &pb.AuthenticateRequest{Name: benchUser, Password: benchPassword})
	if err != nil {
		return "", err
	}
	return response.Token, nil
}

func (s *side) disableAuth() error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.ClientAddr()}, DialTimeout: 10 * time.Second, Username: "root", Password: benchPassword})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err = client.AuthDisable(ctx)
	return err
}
