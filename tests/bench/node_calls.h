#ifndef ACTIONCLUSTER_TESTS_BENCH_NODE_CALLS_H_
#define ACTIONCLUSTER_TESTS_BENCH_NODE_CALLS_H_

#include <string>

#include "actioncluster/v1/rpc.grpc.pb.h"
#include "tests/bench/closed_loop.h"

namespace actioncluster::bench {

// RpcService.CallAll of `method` with a few bytes: ends well when `replies` nodes have answered. `stub` outlives the operation.
Operation GatheringCall(v1::RpcService::Stub& stub, const std::string& method, int replies);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_NODE_CALLS_H_
