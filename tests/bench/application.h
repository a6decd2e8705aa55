#ifndef ACTIONCLUSTER_TESTS_BENCH_APPLICATION_H_
#define ACTIONCLUSTER_TESTS_BENCH_APPLICATION_H_

#include <string>
#include <vector>

namespace actioncluster::bench {

// The process of an application: attaches to the node at `address`, offers these methods, each giving back the bytes that it is sent, says `ready` on
// standard output, and serves until the stream ends.
int ServeApplication(const std::string& address, const std::vector<std::string>& methods);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_APPLICATION_H_
