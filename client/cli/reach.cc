#include "client/cli/reach.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/cli/file_descriptor.h"
#include "client/clock.h"

namespace actioncluster::cli {
namespace {

// How long one address has for itself before the next is tried too.
constexpr absl::Duration kStagger = absl::Milliseconds(100);

struct SocketAddress {
  sockaddr_storage storage = {};
  socklen_t length = 0;
};

absl::StatusOr<SocketAddress> OfPath(absl::string_view path) {
  absl::ConsumePrefix(&path, "//");
  SocketAddress address;
  auto* const local = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.empty() || path.size() >= sizeof local->sun_path) {
    return absl::InvalidArgumentError("the path of a unix socket is empty or too long");
  }
  local->sun_family = AF_UNIX;
  std::memcpy(local->sun_path, path.data(), path.size());
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

absl::StatusOr<std::vector<SocketAddress>> Resolve(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "unix:")) {
    const absl::StatusOr<SocketAddress> local = OfPath(text);
    if (!local.ok()) return local.status();
    return std::vector<SocketAddress>{*local};
  }
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(text, " is no address: that is HOST:PORT, [IPV6]:PORT or unix:PATH"));
  }
  absl::string_view host = text.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) host = absl::StripSuffix(host, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port(text.substr(colon + 1));
  if (const int error = getaddrinfo(std::string(host).c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrCat(host, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.storage, info->ai_addr, info->ai_addrlen);
    address.length = info->ai_addrlen;
  }
  return addresses;
}

// Attempts to connect that are under way.
class Attempts {
 public:
  // 0 if it is connected, EINPROGRESS if that is to be waited for, or why it failed.
  int Begin(const SocketAddress& address) {
    FileDescriptor socket_fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket_fd.is_open()) return errno;
    if (connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    sockets_.push_back(std::move(socket_fd));
    return EINPROGRESS;
  }

  // EINPROGRESS if none has ended within the limit; else how one that has ended: 0 or why it failed.
  int Await(absl::Duration limit) {
    std::vector<pollfd> watched;
    watched.reserve(sockets_.size());
    for (const FileDescriptor& each : sockets_) watched.push_back({.fd = each.get(), .events = POLLOUT, .revents = 0});
    const auto milliseconds = absl::ToInt64Milliseconds(limit + absl::Microseconds(999));
    if (poll(watched.data(), watched.size(), static_cast<int>(milliseconds)) <= 0) return EINPROGRESS;
    for (size_t i = 0; i < watched.size(); ++i) {
      if (watched[i].revents == 0) continue;
      int error = 0;
      socklen_t length = sizeof error;
      getsockopt(watched[i].fd, SOL_SOCKET, SO_ERROR, &error, &length);
      sockets_.erase(sockets_.begin() + static_cast<ptrdiff_t>(i));
      return error;
    }
    return EINPROGRESS;
  }

  bool empty() const { return sockets_.empty(); }

 private:
  std::vector<FileDescriptor> sockets_;
};

}  // namespace

absl::Status Reach(const std::vector<std::string>& addresses, absl::Duration limit) {
  const absl::Time deadline = client::MonotonicNow() + limit;
  std::vector<SocketAddress> targets;
  absl::Status failure;
  for (const std::string& text : addresses) {
    const absl::StatusOr<std::vector<SocketAddress>> resolved = Resolve(text);
    if (absl::IsInvalidArgument(resolved.status())) return resolved.status();
    if (!resolved.ok()) {
      failure.Update(resolved.status());
      continue;
    }
    targets.insert(targets.end(), resolved->begin(), resolved->end());
  }
  Attempts attempts;
  for (size_t next = 0; next < targets.size() || !attempts.empty();) {
    const absl::Duration left = deadline - client::MonotonicNow();
    if (left <= absl::ZeroDuration()) {
      failure.Update(absl::UnavailableError(absl::StrCat("no connection within ", absl::FormatDuration(limit))));
      return failure;
    }
    const bool more = next < targets.size();
    int error = more ? attempts.Begin(targets[next++]) : EINPROGRESS;
    if (error == EINPROGRESS) error = attempts.Await(next < targets.size() ? std::min(left, kStagger) : left);
    if (error == 0) return absl::OkStatus();
    if (error != EINPROGRESS) failure.Update(absl::UnavailableError(std::strerror(error)));
  }
  return failure;
}

}  // namespace actioncluster::cli
