#include "client/cli/serving.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "actioncluster/json.h"
#include "client/clock.h"
#include "client/utf8.h"

namespace actioncluster::cli {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(10);
// While a command is begun it takes an event, three pipes and a descriptor of its process.
constexpr rlim_t kFilesOfOne = 8;
constexpr rlim_t kOtherFiles = 64;

}  // namespace

StopSignals::StopSignals() {
  sigset_t ours;
  sigemptyset(&ours);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    struct sigaction action = {};
    sigaction(number, nullptr, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(&ours, number);
  }
  pthread_sigmask(SIG_BLOCK, &ours, &before_);
  fd_ = FileDescriptor(signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK));
}

StopSignals::~StopSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

bool StopSignals::Await(const Event& other, int output, absl::Duration limit) const {
  std::array<pollfd, 3> watched = {pollfd{fd_.get(), POLLIN, 0}, pollfd{other.fd(), POLLIN, 0},
                                   pollfd{output, POLLOUT, 0}};
  const absl::Duration patience = std::clamp(limit, absl::ZeroDuration(), absl::Hours(1));
  poll(watched.data(), watched.size(), static_cast<int>(absl::ToInt64Milliseconds(patience + absl::Microseconds(999))));
  signalfd_siginfo info;
  return (watched[0].revents & POLLIN) != 0 && read(fd_.get(), &info, sizeof info) > 0;
}

absl::Status AwaitEnd(AttachmentWatch& watch, const StopSignals& signals, absl::Duration left, absl::Duration timeout) {
  const absl::Time give_up = client::MonotonicNow() + left;
  while (true) {
    const absl::Duration limit = watch.attached() ? absl::InfiniteDuration() : give_up - client::MonotonicNow();
    if (limit <= absl::ZeroDuration()) return watch.Failure(timeout);
    if (signals.Await(watch.changed(), watch.output(), limit)) return absl::OkStatus();
    watch.changed().Clear();
    watch.Say();
    if (watch.ended()) return watch.Failure(timeout);
  }
}

void StopInGoodOrder(Console& console, const StopSignals& signals, const std::function<void()>& hurry,
                     const std::function<void(absl::Duration grace)>& stop) {
  if (!console.json() && console.CanSay()) {
    console.Say("actioncluster: stopping; once more ends what runs at once");
  }
  Event stopped;
  std::jthread hurrying([&] {
    if (signals.Await(stopped, -1, absl::InfiniteDuration())) hurry();
  });
  stop(kGrace);
  stopped.Set();
}

absl::Status ReserveFilesFor(int at_once) {
  const rlim_t wanted = kOtherFiles + kFilesOfOne * static_cast<rlim_t>(at_once);
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return absl::OkStatus();
  if (limit.rlim_max < wanted) {
    return absl::InvalidArgumentError(absl::StrCat(at_once, " commands at once take ", wanted,
                                                   " open files, and this process may have ", limit.rlim_max,
                                                   " (ulimit -n)"));
  }
  limit.rlim_cur = wanted;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot raise the limit of open files: ", std::strerror(errno)));
}

std::string FormatDeadline(const google::protobuf::Timestamp& deadline) {
  const absl::Time time = absl::FromUnixSeconds(deadline.seconds()) + absl::Nanoseconds(deadline.nanos());
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*SZ", time, absl::UTCTimeZone());
}

AnyContent ParsePrinted(std::string output) {
  if (output.empty()) return std::monostate();
  if (absl::StatusOr<google::protobuf::Value> json = client::ParseJson(output); json.ok()) return *std::move(json);
  if (client::IsUtf8(output)) return client::ToValue(absl::StripSuffix(output, "\n"));
  return output;
}

}  // namespace actioncluster::cli
