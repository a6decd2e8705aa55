#include "server/supervisor/port_guard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace actioncluster {
namespace {

constexpr int kMaxPort = 65'535;

absl::StatusOr<FileDescriptor> TakeName(int port) {
  FileDescriptor socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket_fd.is_open()) return absl::InternalError(absl::StrCat("cannot make a socket: ", std::strerror(errno)));
  const std::string name = absl::StrCat("actioncluster/port/", port);
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // A leading zero byte makes it an abstract name.
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    if (errno != EADDRINUSE)
      return absl::InternalError(absl::StrCat("cannot guard port ", port, ": ", std::strerror(errno)));
    return absl::FailedPreconditionError(
        absl::StrCat("port ", port, " is taken by another actioncluster on this machine"));
  }
  return socket_fd;
}

// Whether the port could be bound by one who does not share it.
absl::Status TryBind(const std::string& host, int port) {
  sockaddr_storage address = {};
  auto* const v4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(&address);
  const std::string ip = host == "localhost" ? "127.0.0.1" : host;
  socklen_t length;
  if (inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<uint16_t>(port));
    length = sizeof *v4;
  } else if (inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    length = sizeof *v6;
  } else {
    return absl::InvalidArgumentError(absl::StrCat("host: ", host, " is no address"));
  }
  const FileDescriptor socket_fd(socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  // Connections of a predecessor that linger in TIME_WAIT are no obstacle; a listener still is.
  setsockopt(socket_fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return absl::OkStatus();
  if (errno == EADDRINUSE) {
    return absl::FailedPreconditionError(absl::StrCat(HostPort(host, port), " is taken by another program"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("cannot listen on ", HostPort(host, port), ": ", std::strerror(errno)));
}

}  // namespace

absl::StatusOr<PortGuard> PortGuard::Take(const std::string& host, int first, int more) {
  PortGuard guard(host, first);
  if (const absl::Status grown = guard.Grow(more); !grown.ok()) return grown;
  return guard;
}

absl::Status PortGuard::Grow(int more) {
  const size_t before = names_.size();
  const auto take = [this](int port) -> absl::Status {
    if (port > kMaxPort) return absl::FailedPreconditionError(absl::StrCat("there is no port ", port));
    absl::StatusOr<FileDescriptor> name = TakeName(port);
    if (!name.ok()) return name.status();
    names_.push_back(*std::move(name));
    return TryBind(host_, port);
  };
  for (int port = first_ + static_cast<int>(before); port <= first_ + more; ++port) {
    const absl::Status taken = take(port);
    if (taken.ok()) continue;
    while (names_.size() > before) names_.pop_back();
    return taken;
  }
  return absl::OkStatus();
}

std::string HostPort(const std::string& host, int port) {
  return absl::StrCat(host.find(':') == std::string::npos ? host : absl::StrCat("[", host, "]"), ":", port);
}

}  // namespace actioncluster
