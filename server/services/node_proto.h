#ifndef ACTIONCLUSTER_SERVER_SERVICES_NODE_PROTO_H_
#define ACTIONCLUSTER_SERVER_SERVICES_NODE_PROTO_H_

#include "actioncluster/internal/v1/records.pb.h"
#include "actioncluster/v1/cluster.pb.h"
#include "backplane/membership/membership.h"

// The public form of what the backplane knows of nodes. Pure; any thread.
namespace actioncluster {

// Without counts and `last_seen`, which only Redis knows.
v1::Node NodeToProto(const internal::v1::NodeRecord& record);
v1::Node NodeToProto(const Membership::Snapshot& snapshot);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_NODE_PROTO_H_
