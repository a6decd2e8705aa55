#include "server/supervisor/service_notifier.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "glog/logging.h"

namespace actioncluster {
namespace {

std::string Take(const char* name) {
  const char* const value = getenv(name);
  std::string text = value == nullptr ? "" : value;
  unsetenv(name);
  return text;
}

// A path, or `@name` for an abstract one. Closed: there is none, or nobody is there.
FileDescriptor Connect(const std::string& name) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  if (name.empty() || (name[0] != '/' && name[0] != '@') || name.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  FileDescriptor fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.is_open() && connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return fd;
  PLOG(WARNING) << "service manager not reached";
  return {};
}

}  // namespace

ServiceNotifier ServiceNotifier::FromEnvironment() {
  ServiceNotifier notifier;
  notifier.socket_ = Connect(Take("NOTIFY_SOCKET"));
  const std::string usec = Take("WATCHDOG_USEC");
  const std::string pid = Take("WATCHDOG_PID");
  int64_t microseconds;
  int64_t expected;
  // Without a pid, it is for whoever has the variables.
  const bool ours = pid.empty() || (absl::SimpleAtoi(pid, &expected) && expected == getpid());
  if (notifier.socket_.is_open() && ours && absl::SimpleAtoi(usec, &microseconds) && microseconds > 0) {
    notifier.watchdog_every_ = absl::Microseconds(microseconds) / 2;
  }
  return notifier;
}

void ServiceNotifier::Send(absl::string_view lines) const {
  if (socket_.is_open()) send(socket_.get(), lines.data(), lines.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace actioncluster
