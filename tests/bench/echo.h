#ifndef ACTIONCLUSTER_TESTS_BENCH_ECHO_H_
#define ACTIONCLUSTER_TESTS_BENCH_ECHO_H_

#include <memory>
#include <string>

#include "actioncluster/v1/rpc.grpc.pb.h"
#include "tests/bench/closed_loop.h"

// What all else is compared with: a gRPC server that only gives back what it is sent, with the messages and the channel that a call through nodes has.
namespace actioncluster::bench {

// The server's process: says `ready` on standard output, and serves until it is killed.
int ServeEcho(const std::string& address);

// RpcService.Call of `method` with a few bytes, awaiting the first reply. `stub` outlives the operation.
Operation UnaryCall(v1::RpcService::Stub& stub, const std::string& method);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_ECHO_H_
