{{- /*
What the operator may do, to the letter of need. "applied" objects are made and kept in shape by
server-side apply, which is the verb patch, and create where there is nothing yet.
*/ -}}

{{- /* In each namespace that is looked after. */ -}}
{{- define "holdfast.namespaceRules" -}}
# The finalizer is put on and taken off; nothing else of a cluster is ever written but its status.
- apiGroups: [holdfast.dev]
  resources: [holdfastclusters]
  verbs: [get, list, watch, patch]
# Finished operations are deleted when their time is up.
- apiGroups: [holdfast.dev]
  resources: [holdfastoperations]
  verbs: [get, list, watch, delete]
# A schedule makes backups and deletes those that are not kept; a finalizer deletes what was stored.
- apiGroups: [holdfast.dev]
  resources: [holdfastbackups]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [holdfast.dev]
  resources: [holdfastbackupschedules]
  verbs: [get, list, watch]
# A finalizer removes what a restore has replaced.
- apiGroups: [holdfast.dev]
  resources: [holdfastrestores]
  verbs: [get, list, watch, patch]
- apiGroups: [holdfast.dev]
  resources:
    - holdfastclusters/status
    - holdfastoperations/status
    - holdfastbackups/status
    - holdfastbackupschedules/status
    - holdfastrestores/status
  verbs: [patch]
# Members, their volumes, names, certificates and trust.
- apiGroups: [""]
  resources: [pods, persistentvolumeclaims, services, secrets, configmaps, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
# A planned restart asks the disruption budget, as a drain does.
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch{{ if .Values.fleetPage.enabled }}, list{{ end }}]
{{- if .Capabilities.APIVersions.Has "cert-manager.io/v1" }}
# For clusters whose tls.*.issuer is CertManager.
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- if .Capabilities.APIVersions.Has "monitoring.coreos.com/v1" }}
# For clusters that ask for monitoring.
- apiGroups: [monitoring.coreos.com]
  resources: [servicemonitors, prometheusrules]
  verbs: [get, list, watch, create, patch, delete]
{{- end }}
{{- end -}}

{{- /* Of things that are in no namespace: in which zone a member's node is, and whether it is gone;
       whether a class can expand volumes; where a volume is that no Pod uses. The operator does
       without the nodes if it has to (rbac.clusterReads). */ -}}
{{- define "holdfast.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [persistentvolumes]
  verbs: [get]
- apiGroups: [storage.k8s.io]
  resources: [storageclasses]
  verbs: [get]
{{- end -}}

{{- /* What the fleet page asks Kubernetes: who a token is, and what that user may see. */ -}}
{{- define "holdfast.fleetPageRules" -}}
- apiGroups: [authentication.k8s.io]
  resources: [tokenreviews]
  verbs: [create]
- apiGroups: [authorization.k8s.io]
  resources: [subjectaccessreviews]
  verbs: [create]
{{- end -}}

{{- /* In the operator's own namespace: which of its replicas works. A right to create cannot be
       bound to a name. */ -}}
{{- define "holdfast.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [holdfast-operator]
  verbs: [get, update]
{{- end -}}
