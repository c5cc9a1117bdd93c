#pragma once

#include "operator/api/cluster.h"
#include "operator/specs/pod.h"

/// Labels and annotations of members' Pods; pod.h has what others use.
namespace holdfast::specs {

/// What a member's Pod should be labelled with now; the operator's own win over the user's.
api::StringMap pod_labels(const api::HoldfastCluster& cluster, const MemberMarks& marks);

/// What may change while the Pod runs; the operator's own win over the user's.
api::StringMap pod_annotations(const api::HoldfastCluster& cluster, const MemberMarks& marks);

/// How the Pod is being made; stays as it is for the Pod's whole life. pod_origin reads it.
api::StringMap origin_annotations(const MemberTemplate& member, const MemberStart& start);

}  // namespace holdfast::specs
