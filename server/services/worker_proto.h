#ifndef ACTIONCLUSTER_SERVER_SERVICES_WORKER_PROTO_H_
#define ACTIONCLUSTER_SERVER_SERVICES_WORKER_PROTO_H_

#include <string>
#include <vector>

#include "actioncluster/v1/tasks.pb.h"
#include "server/workers/worker.h"

namespace actioncluster {

// Listings of workers as messages. Pure; any thread.

// Those of one node, fitted.
v1::ListWorkersResponse WorkersToProto(std::vector<WorkerView> workers, const std::string& node_id);

// Makes a listing fit into what gRPC's clients take: past 3 MiB workers are listed without what they are working on, and past 4 MiB they are only counted.
void FitIntoMessage(v1::ListWorkersResponse* response);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SERVICES_WORKER_PROTO_H_
