// loopvolumes is a storage driver for tests: volumes that are exactly as large as was asked for, that
// really fill up, and that grow while they are in use. A volume is an XFS file system in a file of the
// node, behind a loop device.
//
//	loopvolumes --node node2 --images /var/lib/volumes/loop
//
// One process per node does everything for that node's volumes: it is the CSI plugin that the kubelet
// there asks (node.go, registration.go), and the provisioner and resizer that the API server's objects
// need (provision.go, grow.go). KUBECONFIG names the API server.
//
// XFS and not ext4, because growing ext4 while mounted takes CAP_SYS_RESOURCE, which root in a
// container may lack. A loop device frees itself with its last mount: nothing of a node is left once
// its mount namespace has ended, however it ended; see images.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// driverName is what StorageClasses name as provisioner.
const driverName = "loop.test.holdfast.dev"

func main() {
	node := flag.String("node", "", "the node's name")
	dir := flag.String("images", "/var/lib/volumes/loop", "where the volumes' files are kept")
	kubelet := flag.String("kubelet", "/var/lib/kubelet", "the kubelet's directory")
	flag.Parse()
	if err := run(*node, *dir, *kubelet); err != nil {
		log.Fatalf("loopvolumes: %v", err)
	}
}

func run(node, dir, kubelet string) error {
	if node == "" {
		return errors.New("--node is needed: the name of the node it runs on")
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return fmt.Errorf("KUBECONFIG: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	images, err := openImages(dir)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	plugin, err := servePlugin(kubelet, node, images)
	if err != nil {
		return err
	}
	defer plugin.Stop()
	registration, err := serveRegistration(kubelet)
	if err != nil {
		return err
	}
	defer registration.Stop()
	go grow(ctx, client, node)
	provision(ctx, client, node, images)
	return nil
}
