#ifndef ACTIONCLUSTER_TESTS_CLUSTER_PYTHON_HOST_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_PYTHON_HOST_H_

#include <memory>

#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {

// tests/interop/host.py, attached to the node; its methods are offered when this returns, or it fails the program.
std::unique_ptr<Program> StartPythonHost(const Node& node);

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_PYTHON_HOST_H_
