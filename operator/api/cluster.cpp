#include "operator/api/cluster.h"

#include "operator/api/backup_target_fields.h"
#include "operator/api/json_fields.h"

namespace holdfast::api {

void fields(auto& visit, is<Storage> auto& storage) {
  visit("size", storage.size);
  visit("storageClassName", storage.storage_class_name);
  visit("retention", storage.retention);
}

void fields(auto& visit, is<IssuerReference> auto& issuer) {
  visit("name", issuer.name);
  visit("kind", issuer.kind);
  visit("group", issuer.group);
}

void fields(auto& visit, is<TlsSide> auto& side) {
  visit("enabled", side.enabled);
  visit("issuer", side.issuer);
  visit("secretRef", side.secret_ref);
  visit("issuerRef", side.issuer_ref);
  visit("duration", side.duration);
  visit("renewBefore", side.renew_before);
  visit("extraSANs", side.extra_sans);
}

void fields(auto& visit, is<Tls> auto& tls) {
  visit("client", tls.client);
  visit("peer", tls.peer);
}

void fields(auto& visit, is<Auth> auto& auth) {
  visit("enabled", auth.enabled);
  visit("rootSecretRef", auth.root_secret_ref);
}

void fields(auto& visit, is<EncryptionAtRest> auto& encryption) {
  visit("secretRef", encryption.secret_ref);
  visit("secretKey", encryption.secret_key);
}

void fields(auto& visit, is<AutoCompaction> auto& compaction) {
  visit("mode", compaction.mode);
  visit("retention", compaction.retention);
}

void fields(auto& visit, is<Options> auto& options) {
  visit("quotaBytes", options.quota_bytes);
  visit("compaction", options.compaction);
  visit("snapshotCount", options.snapshot_count);
  visit("heartbeatMilliseconds", options.heartbeat_milliseconds);
  visit("electionMilliseconds", options.election_milliseconds);
  visit("maxRequestBytes", options.max_request_bytes);
}

void fields(auto& visit, is<PodTemplate> auto& pod) {
  visit("resources", pod.resources);
  visit("affinity", pod.affinity);
  visit("topologySpreadConstraints", pod.topology_spread_constraints);
  visit("nodeSelector", pod.node_selector);
  visit("tolerations", pod.tolerations);
  visit("priorityClassName", pod.priority_class_name);
  visit("labels", pod.labels);
  visit("annotations", pod.annotations);
}

void fields(auto& visit, is<ClientService> auto& service) {
  visit("type", service.type);
  visit("annotations", service.annotations);
  visit("labels", service.labels);
  visit("loadBalancerClass", service.load_balancer_class);
  visit("loadBalancerSourceRanges", service.load_balancer_source_ranges);
  visit("externalTrafficPolicy", service.external_traffic_policy);
}

void fields(auto& visit, is<NetworkPolicy> auto& policy) {
  visit("enabled", policy.enabled);
  visit("clientsFrom", policy.clients_from);
}

void fields(auto& visit, is<MaintenanceWindow> auto& window) {
  visit("schedule", window.schedule);
  visit("timeZone", window.time_zone);
  visit("duration", window.duration);
}

void fields(auto& visit, is<UpdatePolicy> auto& policy) {
  visit("strategy", policy.strategy);
  visit("windows", policy.windows);
  visit("progressDeadlineSeconds", policy.progress_deadline_seconds);
}

void fields(auto& visit, is<DefragmentSchedule> auto& defragment) {
  visit("schedule", defragment.schedule);
  visit("timeZone", defragment.time_zone);
  visit("freeAbovePercent", defragment.free_above_percent);
  visit("minReclaim", defragment.min_reclaim);
}

void fields(auto& visit, is<CompactSchedule> auto& compact) {
  visit("schedule", compact.schedule);
  visit("timeZone", compact.time_zone);
  visit("keepRevisions", compact.keep_revisions);
}

void fields(auto& visit, is<SpacePolicy> auto& space) {
  visit("automatic", space.automatic);
  visit("keepRevisions", space.keep_revisions);
  visit("maxQuotaBytes", space.max_quota_bytes);
  visit("maxStorageSize", space.max_storage_size);
}

void fields(auto& visit, is<Maintenance> auto& maintenance) {
  visit("defragment", maintenance.defragment);
  visit("compact", maintenance.compact);
  visit("space", maintenance.space);
}

void fields(auto& visit, is<RestoreFrom> auto& restore) {
  visit("backupRef", restore.backup_ref);
  visit("stored", restore.stored);
  visit("until", restore.until);
  visit("bumpRevisions", restore.bump_revisions);
}

void fields(auto& visit, is<JoinRunning> auto& join) {
  visit("endpoints", join.endpoints);
  visit("clientSecretRef", join.client_secret_ref);
  visit("peerSecretRef", join.peer_secret_ref);
  visit("credentialsSecretRef", join.credentials_secret_ref);
}

void fields(auto& visit, is<Bootstrap> auto& bootstrap) {
  visit("restore", bootstrap.restore);
  visit("join", bootstrap.join);
}

void fields(auto& visit, is<Recovery> auto& recovery) {
  visit("autoReplace", recovery.auto_replace);
  visit("replaceAfterSeconds", recovery.replace_after_seconds);
  visit("autoQuorumRecovery", recovery.auto_quorum_recovery);
  visit("quorumRecoveryAfterSeconds", recovery.quorum_recovery_after_seconds);
}

void fields(auto& visit, is<Monitoring> auto& monitoring) {
  visit("serviceMonitor", monitoring.service_monitor);
  visit("rules", monitoring.rules);
  visit("labels", monitoring.labels);
}

void fields(auto& visit, is<ClusterSpec> auto& spec) {
  visit("replicas", spec.replicas);
  visit("version", spec.version);
  visit("image", spec.image);
  visit("imagePullSecrets", spec.image_pull_secrets);
  visit("storage", spec.storage);
  visit("tls", spec.tls);
  visit("auth", spec.auth);
  visit("encryptionAtRest", spec.encryption_at_rest);
  visit("options", spec.options);
  visit("podTemplate", spec.pod_template);
  visit("service", spec.service);
  visit("networkPolicy", spec.network_policy);
  visit("updatePolicy", spec.update_policy);
  visit("maintenance", spec.maintenance);
  visit("bootstrap", spec.bootstrap);
  visit("recovery", spec.recovery);
  visit("paused", spec.paused);
  visit("fencedMembers", spec.fenced_members);
  visit("monitoring", spec.monitoring);
}

void fields(auto& visit, is<Target> auto& target) {
  visit("generation", target.generation);
  visit("replicas", target.replicas);
  visit("version", target.version);
  visit("image", target.image);
  visit("storageSize", target.storage_size);
  visit("storageClassName", target.storage_class_name);
  visit("specHash", target.spec_hash);
  visit("startedAt", target.started_at);
}

void fields(auto& visit, is<OperationInFlight> auto& operation) {
  visit("type", operation.type);
  visit("member", operation.member);
  visit("memberID", operation.member_id);
  visit("step", operation.step);
  visit.message("message", operation.message);
  visit("startedAt", operation.started_at);
  visit("stepStartedAt", operation.step_started_at);
  visit("requestedBy", operation.requested_by);
  visit("podUID", operation.pod_uid);
}

void fields(auto& visit, is<ParkedOperation> auto& parked) {
  visit("type", parked.type);
  visit("member", parked.member);
  visit("generation", parked.generation);
  visit("since", parked.since);
  visit("times", parked.times);
}

void fields(auto& visit, is<MemberStatus> auto& member) {
  visit("name", member.name);
  visit("id", member.id);
  visit("role", member.role);
  visit("ready", member.ready);
  visit("version", member.version);
  visit("certNotAfter", member.cert_not_after);
  visit("zone", member.zone);
  visit("node", member.node);
  visit("notReadySince", member.not_ready_since);
}

void fields(auto& visit, is<TlsSideStatus> auto& side) {
  visit("mode", side.mode);
  visit("phase", side.phase);
  visit("caSHA256", side.ca_sha256);
  visit("otherCASHA256", side.other_ca_sha256);
  visit("bundleSHA256", side.bundle_sha256);
  visit("caNotAfter", side.ca_not_after);
  visit("rotatedAt", side.rotated_at);
  visit("phaseStartedAt", side.phase_started_at);
}

void fields(auto& visit, is<TlsStatus> auto& tls) {
  visit("client", tls.client);
  visit("peer", tls.peer);
}

void fields(auto& visit, is<EncryptionStatus> auto& encryption) {
  visit("keyID", encryption.key_id);
  visit("keyIDs", encryption.key_ids);
  visit("membersBehind", encryption.members_behind);
}

void fields(auto& visit, is<QuorumRecovery> auto& recovery) {
  visit("survivor", recovery.survivor);
  visit("raftIndex", recovery.raft_index);
  visit("forcedAt", recovery.forced_at);
  visit("startedAt", recovery.started_at);
}

void fields(auto& visit, is<RestoreInPlace> auto& restore) {
  visit("name", restore.name);
  visit("uid", restore.uid);
  visit("step", restore.step);
  visit.message("message", restore.message);
  visit("members", restore.members);
  visit("votersBefore", restore.voters_before);
  visit("previousClusterID", restore.previous_cluster_id);
  visit("clusterID", restore.cluster_id);
  visit("startedAt", restore.started_at);
}

void fields(auto& visit, is<LastBackup> auto& backup) {
  visit("name", backup.name);
  visit("uri", backup.uri);
  visit("time", backup.time);
  visit("revision", backup.revision);
}

void fields(auto& visit, is<MaintenanceStatus> auto& maintenance) {
  visit("defragmentedAt", maintenance.defragmented_at);
  visit("compactedAt", maintenance.compacted_at);
  visit("scheduledSince", maintenance.scheduled_since);
  visit("defragmenting", maintenance.defragmenting);
  visit("defragmentedMembers", maintenance.defragmented_members);
}

void fields(auto& visit, is<MakingRoom> auto& room) {
  visit("since", room.since);
  visit("compactedAt", room.compacted_at);
  visit("defragmentedMembers", room.defragmented_members);
  visit("exhaustedAt", room.exhausted_at);
}

void fields(auto& visit, is<SizeSample> auto& sample) {
  visit("time", sample.time);
  visit("bytes", sample.bytes);
  visit("revision", sample.revision);
}

void fields(auto& visit, is<SpaceStatus> auto& space) {
  visit("makingRoom", space.making_room);
  visit("disarmedAt", space.disarmed_at);
  visit("grantedQuotaBytes", space.granted_quota_bytes);
  visit("grantedStorageBytes", space.granted_storage_bytes);
  visit("sampleSeconds", space.sample_seconds);
  visit("samples", space.samples);
  visit("toldFullWithinSeconds", space.told_full_within_seconds);
}

void fields(auto& visit, is<ClusterStatus> auto& status) {
  visit("observedGeneration", status.observed_generation);
  visit("clusterID", status.cluster_id);
  visit("nextOrdinal", status.next_ordinal);
  visit("target", status.target);
  visit("operation", status.operation);
  visit("recovery", status.recovery);
  visit("restore", status.restore);
  visit("tls", status.tls);
  visit("encryption", status.encryption);
  visit("maintenance", status.maintenance);
  visit("space", status.space);
  visit("replicas", status.replicas);
  visit("selector", status.selector);
  visit("readyReplicas", status.ready_replicas);
  visit("membersReady", status.members_ready);
  visit("leader", status.leader);
  visit("currentVersion", status.current_version);
  visit("etcdVersion", status.etcd_version);
  visit("loweringEtcdVersion", status.lowering_etcd_version);
  visit("members", status.members);
  visit("foreignMembers", status.foreign_members);
  visit("quorumLostSince", status.quorum_lost_since);
  visit("parked", status.parked);
  visit("membersAside", status.members_aside);
  visit("lastBackup", status.last_backup);
  visit("conditions", status.conditions);
}

template absl::StatusOr<HoldfastCluster> read(const nlohmann::json&);
template nlohmann::json write(const HoldfastCluster&);
template nlohmann::json status_to_apply(const HoldfastCluster&);

}  // namespace holdfast::api
