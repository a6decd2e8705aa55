#include "server/services/node_proto.h"

#include "server/grpc/time_proto.h"

namespace actioncluster {

v1::Node NodeToProto(const internal::v1::NodeRecord& record) {
  v1::Node node;
  node.set_id(record.id());
  node.set_boot_id(record.boot_id());
  node.set_host(record.host());
  node.set_pid(record.pid());
  node.set_version(record.version());
  *node.mutable_started_at() = TimeToProto(absl::FromUnixMicros(record.started_at_us()));
  *node.mutable_addresses() = record.addresses();
  *node.mutable_methods() = record.methods();
  node.set_draining(record.draining());
  return node;
}

v1::Node NodeToProto(const Membership::Snapshot& snapshot) {
  v1::Node node = NodeToProto(snapshot.record);
  *node.mutable_last_seen() = TimeToProto(snapshot.last_seen);
  node.mutable_counts()->set_calls_running(snapshot.stats.calls_running());
  node.mutable_counts()->set_calls_waiting(snapshot.stats.calls_waiting());
  node.mutable_counts()->set_applications(snapshot.stats.applications());
  node.mutable_counts()->set_subscribers(snapshot.stats.subscribers());
  node.mutable_counts()->set_workers(snapshot.stats.workers());
  node.mutable_counts()->set_tasks_running(snapshot.stats.tasks_running());
  node.mutable_counts()->set_connections(snapshot.stats.connections());
  return node;
}

}  // namespace actioncluster
