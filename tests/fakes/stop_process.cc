#include "tests/fakes/stop_process.h"

#include <signal.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "glog/logging.h"
#include "tests/fakes/waiter.h"

namespace actioncluster::fakes {
namespace {

constexpr absl::Duration kPoll = absl::Milliseconds(1);

// Stopped, or gone.
bool HasStopped(const std::filesystem::path& thread) {
  std::ifstream file(thread / "stat");
  const std::string stat((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  // Behind the name, which may hold anything.
  const size_t state = stat.rfind(')');
  return state == std::string::npos || state + 2 >= stat.size() ||
         std::string("TtZX").find(stat[state + 2]) != std::string::npos;
}

bool AllHaveStopped(pid_t pid) {
  std::error_code none;
  for (const auto& thread : std::filesystem::directory_iterator(absl::StrCat("/proc/", pid, "/task"), none)) {
    if (!HasStopped(thread.path())) return false;
  }
  return true;
}

}  // namespace

void StopProcess(pid_t pid) {
  PCHECK(kill(pid, SIGSTOP) == 0) << pid;
  const absl::Time limit = absl::Now() + kPatience;
  while (!AllHaveStopped(pid)) {
    CHECK(absl::Now() < limit) << pid << " goes on";
    absl::SleepFor(kPoll);
  }
}

}  // namespace actioncluster::fakes
