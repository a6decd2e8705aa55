#ifndef ACTIONCLUSTER_TESTS_CLUSTER_DEPLOYMENT_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_DEPLOYMENT_H_

#include <memory>

#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"
#include "tests/fakes/redis_server.h"

namespace actioncluster::cluster {

// The ways in which an operator may run nodes, each with all that it needs: what an application sees must be the same in all of them.
struct Deployment {
  std::unique_ptr<TempDir> files;  // Certificates; none: null.
  std::unique_ptr<fakes::RedisServer> redis;
  std::unique_ptr<fakes::RedisServer> sentinel;
  std::unique_ptr<Cluster> cluster;
};

// One node with the Redis that `actioncluster start` runs by itself.
Deployment SolitaryNode();
// Three nodes on one Redis.
Deployment ThreeNodes();
// By TLS, to a Redis that asks for a client's certificate, where nobody but the nodes' user may do anything.
Deployment ThreeNodesByTls();
// By a sentinel, which knows where the Redis is.
Deployment ThreeNodesBySentinel();

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_DEPLOYMENT_H_
