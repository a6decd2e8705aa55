#ifndef ACTIONCLUSTER_TESTS_CLUSTER_PYTHON_HOST_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_PYTHON_HOST_H_

#include <memory>
#include <vector>

#include "tests/cluster/cluster.h"
#include "tests/cluster/program.h"

namespace actioncluster::cluster {

// tests/interop/host.py, attached to the node; its methods are offered when this returns, or it fails the program. When that node is lost it goes to the
// others, one after the other; without any it ends.
std::unique_ptr<Program> StartPythonHost(const Node& node, const std::vector<const Node*>& others = {});

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_PYTHON_HOST_H_
