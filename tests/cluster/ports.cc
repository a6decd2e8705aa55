#include "tests/cluster/ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace actioncluster::cluster {
namespace {

constexpr int kFirst = 30'100;
constexpr int kEnd = 32'700;
constexpr int kStep = 8;

// -1 if another test process has it. The system gives it back when we end, however that comes.
int TakeName(int port) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const std::string name = absl::StrCat("actioncluster-test/port/", port);
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0) return fd;
  close(fd);
  return -1;
}

bool IsFree(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const bool is_free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return is_free;
}

}  // namespace

Ports::Ports(int count) {
  constexpr int kBlocks = (kEnd - kFirst) / kStep;
  CHECK_LE(count, kStep);
  for (int i = 0; i < kBlocks; ++i) {
    first_ = kFirst + (getpid() + i) % kBlocks * kStep;
    bool all_free = true;
    for (int port = first_; all_free && port < first_ + count; ++port) {
      const int name = TakeName(port);
      if (name >= 0) names_.push_back(name);
      all_free = name >= 0 && IsFree(port);
    }
    if (all_free) return;
    for (const int name : std::exchange(names_, {})) close(name);
  }
  LOG(FATAL) << "no free ports from " << kFirst << " to " << kEnd;
}

Ports::~Ports() {
  for (const int name : names_) close(name);
}

Ports::Ports(Ports&& other) noexcept : first_(other.first_), names_(std::exchange(other.names_, {})) {}

}  // namespace actioncluster::cluster
