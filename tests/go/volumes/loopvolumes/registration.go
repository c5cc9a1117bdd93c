package main

import (
	"context"
	"log"
	"path/filepath"

	"google.golang.org/grpc"
	registerapi "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// registration tells the kubelet, which looks for sockets in one directory, where the plugin is.
type registration struct {
	registerapi.UnimplementedRegistrationServer
	endpoint string
}

func serveRegistration(kubelet string) (*grpc.Server, error) {
	server := grpc.NewServer()
	registerapi.RegisterRegistrationServer(server, &registration{endpoint: pluginSocket(kubelet)})
	return server, serve(server, filepath.Join(kubelet, "plugins_registry", driverName+"-reg.sock"))
}

func (r *registration) GetInfo(context.Context, *registerapi.InfoRequest) (*registerapi.PluginInfo, error) {
	return &registerapi.PluginInfo{
		Type: registerapi.CSIPlugin, Name: driverName, Endpoint: r.endpoint, SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registration) NotifyRegistrationStatus(_ context.Context, status *registerapi.RegistrationStatus) (*registerapi.RegistrationStatusResponse, error) {
	if !status.PluginRegistered {
		log.Printf("the kubelet does not take the plugin: %s", status.Error)
	}
	return &registerapi.RegistrationStatusResponse{}, nil
}
