#ifndef ACTIONCLUSTER_SERVER_SERVICES_WORKER_PROTO_H_
#define ACTIONCLUSTER_SERVER_SERVICES_WORKER_PROTO_H_

#include <string>
#include <vector>

#include "actioncluster/v1/tasks.pb.h"
#include "server/workers/worker.h"

namespace actioncluster {

// The workers of one node as a listing. So that it fits into a message between nodes, past 3 MiB workers are listed without what they are working on, and past 4 MiB none are.
// Pure; any thread.
v1::ListWorkersResponse WorkersToProto(std::vector<WorkerView> workers, const std::string& node_id);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_WORKER_PROTO_H_
