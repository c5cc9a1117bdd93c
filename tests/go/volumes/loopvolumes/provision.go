package main

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v10/controller"
)

const selectedNode = "volume.kubernetes.io/selected-node"

// provisioner makes and deletes PersistentVolumes of one node, for claims whose class waits for their
// first Pod. The file itself is made when the kubelet first asks for the volume.
type provisioner struct {
	node   string
	images *images
}

// provision returns once ctx has ended.
func provision(ctx context.Context, client kubernetes.Interface, node string, images *images) {
	controller.NewProvisionController(klog.FromContext(ctx), client, driverName, &provisioner{node, images},
		controller.LeaderElection(false)).Run(ctx)
}

func (p *provisioner) ShouldProvision(_ context.Context, claim *corev1.PersistentVolumeClaim) bool {
	return claim.Annotations[selectedNode] == p.node
}

func (p *provisioner) ShouldDelete(_ context.Context, volume *corev1.PersistentVolume) bool {
	return isOn(volume, p.node)
}

func (p *provisioner) Provision(_ context.Context, options controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	size := options.PVC.Spec.Resources.Requests[corev1.ResourceStorage]
	most, err := mostOf(options.StorageClass)
	if err == nil && most != nil && size.Cmp(*most) > 0 {
		err = fmt.Errorf("%s is more than the class gives, %s", size.String(), most.String())
	}
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
			AccessModes:                   options.PVC.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			StorageClassName:              options.StorageClass.Name,
			PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{
				Driver: driverName, VolumeHandle: options.PVName, FSType: "xfs",
				VolumeAttributes: map[string]string{bytesKey: strconv.FormatInt(size.Value(), 10)},
			}},
			NodeAffinity: onlyOn(p.node),
		},
	}, controller.ProvisioningFinished, nil
}

func (p *provisioner) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	return p.images.remove(volume.Spec.CSI.VolumeHandle)
}

func onlyOn(node string) *corev1.VolumeNodeAffinity {
	return &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
		MatchExpressions: []corev1.NodeSelectorRequirement{{
			Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
		}},
	}}}}
}

// isOn tells a volume that onlyOn tied to the node.
func isOn(volume *corev1.PersistentVolume, node string) bool {
	if volume.Spec.CSI == nil || volume.Spec.CSI.Driver != driverName || volume.Spec.NodeAffinity == nil {
		return false
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		for _, expression := range term.MatchExpressions {
			if expression.Key == corev1.LabelHostname && len(expression.Values) == 1 && expression.Values[0] == node {
				return true
			}
		}
	}
	return false
}
