package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
)

const (
	// growEvery is how often claims are looked at, in the cache.
	growEvery = 200 * time.Millisecond
	// mostKey is a class's parameter: no volume of it grows beyond.
	mostKey = "most"
)

// resizer does for this node's volumes what external-resizer does: a claim that asks for more than its
// volume has gets a larger PersistentVolume, and a mark by which the kubelet grows the file system.
type resizer struct {
	client  kubernetes.Interface
	node    string
	claims  corelisters.PersistentVolumeClaimLister
	volumes corelisters.PersistentVolumeLister
}

// grow returns once ctx has ended.
func grow(ctx context.Context, client kubernetes.Interface, node string) {
	factory := informers.NewSharedInformerFactory(client, 0)
	r := &resizer{client, node, factory.Core().V1().PersistentVolumeClaims().Lister(), factory.Core().V1().PersistentVolumes().Lister()}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for tick := time.NewTicker(growEvery); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			r.look(ctx)
		}
	}
}

func (r *resizer) look(ctx context.Context) {
	claims, err := r.claims.List(labels.Everything())
	if err != nil {
		log.Printf("claims: %v", err)
		return
	}
	for _, claim := range claims {
		if claim.Status.Phase != corev1.ClaimBound || claim.DeletionTimestamp != nil {
			continue
		}
		volume, err := r.volumes.Get(claim.Spec.VolumeName)
		if err != nil || !isOn(volume, r.node) {
			continue // not in the cache yet, or another's
		}
		if err := r.sync(ctx, claim, volume); err != nil {
			log.Printf("%s/%s: %v", claim.Namespace, claim.Name, err)
		}
	}
}

func (r *resizer) sync(ctx context.Context, claim *corev1.PersistentVolumeClaim, volume *corev1.PersistentVolume) error {
	wanted := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	has := volume.Spec.Capacity[corev1.ResourceStorage]
	confirmed := claim.Status.Capacity[corev1.ResourceStorage]
	step := claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage]
	allocated := claim.Status.AllocatedResources[corev1.ResourceStorage]
	if wanted.Cmp(has) > 0 {
		class, err := r.client.StorageV1().StorageClasses().Get(ctx, volume.Spec.StorageClassName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		most, err := mostOf(class)
		if err != nil {
			return err
		}
		if most != nil && wanted.Cmp(*most) > 0 {
			if step == corev1.PersistentVolumeClaimControllerResizeInfeasible && allocated.Cmp(wanted) == 0 {
				return nil // it was said
			}
			return r.tell(ctx, claim, wanted, corev1.PersistentVolumeClaimControllerResizeInfeasible,
				corev1.PersistentVolumeClaimControllerResizeError,
				fmt.Sprintf("%s is more than the class gives, %s", wanted.String(), most.String()))
		}
		patch := fmt.Sprintf(`{"spec":{"capacity":{"storage":%q}}}`, wanted.String())
		if _, err := r.client.CoreV1().PersistentVolumes().Patch(ctx, volume.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return err
		}
		has = wanted
	}
	if confirmed.Cmp(has) >= 0 || (step != "" && allocated.Cmp(has) == 0) {
		return nil // the kubelet has grown it, or was told to
	}
	return r.tell(ctx, claim, has, corev1.PersistentVolumeClaimNodeResizePending,
		corev1.PersistentVolumeClaimFileSystemResizePending, "the file system is to be grown on its node")
}

// tell writes how far the growth to `size` has come.
func (r *resizer) tell(ctx context.Context, claim *corev1.PersistentVolumeClaim, size resource.Quantity,
	step corev1.ClaimResourceStatus, condition corev1.PersistentVolumeClaimConditionType, message string) error {
	patch, err := json.Marshal(map[string]any{
		// A copy in the cache that is behind loses.
		"metadata": map[string]any{"resourceVersion": claim.ResourceVersion},
		"status": map[string]any{
			"allocatedResources":        corev1.ResourceList{corev1.ResourceStorage: size},
			"allocatedResourceStatuses": map[corev1.ResourceName]corev1.ClaimResourceStatus{corev1.ResourceStorage: step},
			"conditions": []corev1.PersistentVolumeClaimCondition{{
				Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(), Message: message,
			}},
		},
	})
	if err != nil {
		return err
	}
	_, err = r.client.CoreV1().PersistentVolumeClaims(claim.Namespace).Patch(ctx, claim.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// mostOf is the largest volume that the class gives; nil: any size.
func mostOf(class *storagev1.StorageClass) (*resource.Quantity, error) {
	text, found := class.Parameters[mostKey]
	if !found {
		return nil, nil
	}
	most, err := resource.ParseQuantity(text)
	if err != nil {
		return nil, fmt.Errorf("class %s, parameter %s: %w", class.Name, mostKey, err)
	}
	return &most, nil
}
