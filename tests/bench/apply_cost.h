#ifndef ACTIONCLUSTER_TESTS_BENCH_APPLY_COST_H_
#define ACTIONCLUSTER_TESTS_BENCH_APPLY_COST_H_

#include <vector>

namespace actioncluster::bench {

// ConnectionService.Apply of a connection on another node, in clusters of so many nodes, one call after the other.
// Prints how long one takes, and what it asks of Redis. False: one failed.
bool MeasureApply(const std::vector<int>& nodes);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_APPLY_COST_H_
