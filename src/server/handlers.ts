import { type AnyHandler, ApiTable } from './api-table.ts'
import { produceHandler } from './handlers/00-produce.ts'
import { fetchHandler } from './handlers/01-fetch.ts'
import { listOffsetsHandler } from './handlers/02-list-offsets.ts'
import { metadataHandler } from './handlers/03-metadata.ts'
import { offsetCommitHandler } from './handlers/08-offset-commit.ts'
import { offsetFetchHandler } from './handlers/09-offset-fetch.ts'
import { findCoordinatorHandler } from './handlers/10-find-coordinator.ts'
import { joinGroupHandler } from './handlers/11-join-group.ts'
import { heartbeatHandler } from './handlers/12-heartbeat.ts'
import { leaveGroupHandler } from './handlers/13-leave-group.ts'
import { syncGroupHandler } from './handlers/14-sync-group.ts'
import { describeGroupsHandler } from './handlers/15-describe-groups.ts'
import { listGroupsHandler } from './handlers/16-list-groups.ts'
import { saslHandshakeHandler } from './handlers/17-sasl-handshake.ts'
import { apiVersionsHandler } from './handlers/18-api-versions.ts'
import { createTopicsHandler } from './handlers/19-create-topics.ts'
import { deleteTopicsHandler } from './handlers/20-delete-topics.ts'
import { deleteRecordsHandler } from './handlers/21-delete-records.ts'
import { initProducerIdHandler } from './handlers/22-init-producer-id.ts'
import { offsetForLeaderEpochHandler } from './handlers/23-offset-for-leader-epoch.ts'
import { describeConfigsHandler } from './handlers/32-describe-configs.ts'
import { alterConfigsHandler } from './handlers/33-alter-configs.ts'
import { alterReplicaLogDirsHandler } from './handlers/34-alter-replica-log-dirs.ts'
import { describeLogDirsHandler } from './handlers/35-describe-log-dirs.ts'
import { saslAuthenticateHandler } from './handlers/36-sasl-authenticate.ts'
import { createPartitionsHandler } from './handlers/37-create-partitions.ts'
import { deleteGroupsHandler } from './handlers/42-delete-groups.ts'
import { electLeadersHandler } from './handlers/43-elect-leaders.ts'
import { incrementalAlterConfigsHandler } from './handlers/44-incremental-alter-configs.ts'
import { alterPartitionReassignmentsHandler } from './handlers/45-alter-partition-reassignments.ts'
import { listPartitionReassignmentsHandler } from './handlers/46-list-partition-reassignments.ts'
import { offsetDeleteHandler } from './handlers/47-offset-delete.ts'
import { describeClientQuotasHandler } from './handlers/48-describe-client-quotas.ts'
import { alterClientQuotasHandler } from './handlers/49-alter-client-quotas.ts'
import { describeUserScramCredentialsHandler } from './handlers/50-describe-user-scram-credentials.ts'
import { voteHandler } from './handlers/52-vote.ts'
import { describeQuorumHandler } from './handlers/55-describe-quorum.ts'
import { alterPartitionHandler } from './handlers/56-alter-partition.ts'
import { updateFeaturesHandler } from './handlers/57-update-features.ts'
import { envelopeHandler } from './handlers/58-envelope.ts'
import { describeClusterHandler } from './handlers/60-describe-cluster.ts'
import { describeProducersHandler } from './handlers/61-describe-producers.ts'
import { brokerRegistrationHandler } from './handlers/62-broker-registration.ts'
import { brokerHeartbeatHandler } from './handlers/63-broker-heartbeat.ts'
import { unregisterBrokerHandler } from './handlers/64-unregister-broker.ts'
import { allocateProducerIdsHandler } from './handlers/67-allocate-producer-ids.ts'
import { getTelemetrySubscriptionsHandler } from './handlers/71-get-telemetry-subscriptions.ts'
import { pushTelemetryHandler } from './handlers/72-push-telemetry.ts'
import { assignReplicasToDirsHandler } from './handlers/73-assign-replicas-to-dirs.ts'
import { listConfigResourcesHandler } from './handlers/74-list-config-resources.ts'
import { describeTopicPartitionsHandler } from './handlers/75-describe-topic-partitions.ts'

/** Every API that clients are served: what is not in this list is neither answered nor advertised. */
export function createApiTable(): ApiTable {
  const handlers: AnyHandler[] = [
    produceHandler,
    fetchHandler,
    listOffsetsHandler,
    metadataHandler,
    offsetCommitHandler,
    offsetFetchHandler,
    findCoordinatorHandler,
    joinGroupHandler,
    heartbeatHandler,
    leaveGroupHandler,
    syncGroupHandler,
    describeGroupsHandler,
    listGroupsHandler,
    saslHandshakeHandler,
    apiVersionsHandler(() => table),
    createTopicsHandler,
    deleteTopicsHandler,
    deleteRecordsHandler,
    initProducerIdHandler,
    offsetForLeaderEpochHandler,
    describeConfigsHandler,
    alterConfigsHandler,
    alterReplicaLogDirsHandler,
    describeLogDirsHandler,
    saslAuthenticateHandler,
    createPartitionsHandler,
    deleteGroupsHandler,
    electLeadersHandler,
    incrementalAlterConfigsHandler,
    alterPartitionReassignmentsHandler,
    listPartitionReassignmentsHandler,
    offsetDeleteHandler,
    describeClientQuotasHandler,
    alterClientQuotasHandler,
    describeUserScramCredentialsHandler,
    updateFeaturesHandler,
    voteHandler,
    describeQuorumHandler,
    alterPartitionHandler,
    envelopeHandler(() => table),
    describeClusterHandler,
    describeProducersHandler,
    brokerRegistrationHandler,
    brokerHeartbeatHandler,
    unregisterBrokerHandler,
    allocateProducerIdsHandler,
    getTelemetrySubscriptionsHandler,
    pushTelemetryHandler,
    assignReplicasToDirsHandler,
    listConfigResourcesHandler,
    describeTopicPartitionsHandler,
  ]
  const table = new ApiTable(handlers)
  return table
}
