#ifndef ACTIONCLUSTER_TESTS_BENCH_IDLE_STREAMS_H_
#define ACTIONCLUSTER_TESTS_BENCH_IDLE_STREAMS_H_

#include <string>

namespace actioncluster::bench {

// The process of a server that only holds streams: says `ready` on standard output, welcomes whoever opens one, and
// waits for more. What a connection takes at least.
int ServeStreams(const std::string& address);

// Opens so many connections, of which nothing is asked, at a node; and as many streams at a server of ServeStreams (the
// role `streams ADDRESS`). Prints what each takes of the process's memory. False: they could not be opened.
bool MeasureIdle(int connections);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_IDLE_STREAMS_H_
