// What connections and rooms cost: whether each member of a room hears each message once and in order, and after how
// long; what an idle connection takes of its node's memory, beside a bare gRPC stream of the same run; and
// what a call of a connection on another node takes, in clusters of different sizes:
//
//   cmake --preset release && ninja -C build/release bench_connections
//   build/release/bench_connections [--connections 10000] [--rooms 1000] [--rate 200] [--seconds 60] [--idle 10000] [--nodes 2,8,32]
//
// It starts redis-servers of its own and nodes, each a process. `--idle 0` and `--nodes 0` leave these out; without
// options it takes half a minute.
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "glog/logging.h"
#include "tests/bench/apply_cost.h"
#include "tests/bench/idle_streams.h"
#include "tests/bench/room_load.h"

namespace actioncluster::bench {
namespace {

struct Options {
  RoomLoad rooms;
  int idle = 2000;
  std::vector<int> nodes = {2, 8, 32};
};

bool Parse(const std::string& name, const std::string& value, Options* options) {
  if (name == "--connections") return absl::SimpleAtoi(value, &options->rooms.connections);
  if (name == "--rooms") return absl::SimpleAtoi(value, &options->rooms.rooms);
  if (name == "--rate") return absl::SimpleAtod(value, &options->rooms.rate);
  if (name == "--seconds") return absl::SimpleAtod(value, &options->rooms.seconds);
  if (name == "--idle") return absl::SimpleAtoi(value, &options->idle);
  if (name != "--nodes") return false;
  options->nodes.clear();
  for (const absl::string_view number : absl::StrSplit(value, ',')) {
    int count = 0;
    if (!absl::SimpleAtoi(number, &count) || count == 1 || count < 0) return false;
    if (count > 0) options->nodes.push_back(count);
  }
  return true;
}

bool Parse(const std::vector<std::string>& args, Options* options) {
  if (args.size() % 2 != 0) return false;
  for (size_t i = 0; i < args.size(); i += 2) {
    if (!Parse(args[i], args[i + 1], options)) return false;
  }
  const RoomLoad& rooms = options->rooms;
  return rooms.rooms > 0 && rooms.connections >= rooms.rooms && rooms.rate > 0 && rooms.seconds > 0 &&
         options->idle >= 0;
}

int Main(const std::vector<std::string>& args) {
  if (args.size() == 2 && args[0] == "streams") return ServeStreams(args[1]);
  Options options;
  if (!Parse(args, &options)) {
    std::fputs(
        "Usage: bench_connections [--connections N] [--rooms N] [--rate PER_SECOND] [--seconds S] [--idle N] "
        "[--nodes N,N,...]\n",
        stderr);
    return 2;
  }
  bool ok = MeasureRooms(options.rooms);
  if (options.idle > 0) ok = MeasureIdle(options.idle) && ok;
  ok = MeasureApply(options.nodes) && ok;
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace actioncluster::bench

int main(int argc, char** argv) {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = google::WARNING;
  google::InitGoogleLogging(argv[0]);
  return actioncluster::bench::Main(std::vector<std::string>(argv + 1, argv + argc));
}
