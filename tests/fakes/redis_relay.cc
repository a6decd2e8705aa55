#include "tests/fakes/redis_relay.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"

namespace actioncluster::fakes {
namespace {

// One that is closed says so too.
bool HasSpoken(const pollfd& polled) { return (polled.revents & (POLLIN | POLLHUP | POLLERR)) != 0; }

// The whole; false: the other side is gone.
bool Write(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

RedisRelay::RedisRelay(std::string unix_path) : unix_path_(std::move(unix_path)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  PCHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  PCHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  PCHECK(listen(listener_, SOMAXCONN) == 0);
  port_ = ntohs(address.sin_port);
  wake_ = eventfd(0, EFD_CLOEXEC);
  PCHECK(wake_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

RedisRelay::~RedisRelay() {
  stops_ = true;
  eventfd_write(wake_, 1);
  thread_.join();
  for (const Pair& pair : pairs_) {
    close(pair.node);
    close(pair.redis);
  }
  close(listener_);
  close(wake_);
}

void RedisRelay::Hold(bool hold) {
  holds_ = hold;
  eventfd_write(wake_, 1);
}

void RedisRelay::Run() {
  while (!stops_) {
    std::vector<pollfd> polled = {{.fd = wake_, .events = POLLIN, .revents = 0},
                                  {.fd = listener_, .events = POLLIN, .revents = 0}};
    for (const Pair& pair : pairs_) {
      polled.push_back({.fd = pair.node, .events = POLLIN, .revents = 0});
      // A negative one is passed over.
      polled.push_back({.fd = pair.subscribes && holds_ ? -1 : pair.redis, .events = POLLIN, .revents = 0});
    }
    PCHECK(poll(polled.data(), polled.size(), -1) > 0 || errno == EINTR);
    size_t at = 2;
    for (auto pair = pairs_.begin(); pair != pairs_.end(); at += 2) {
      if (PassOn(*pair, HasSpoken(polled[at]), HasSpoken(polled[at + 1]))) {
        ++pair;
        continue;
      }
      close(pair->node);
      close(pair->redis);
      pair = pairs_.erase(pair);
    }
    eventfd_t ignored;
    if (HasSpoken(polled[0])) eventfd_read(wake_, &ignored);
    if (HasSpoken(polled[1])) Accept();
  }
}

void RedisRelay::Accept() {
  const int node = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  PCHECK(node >= 0);
  const int redis = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  CHECK_LT(unix_path_.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, unix_path_.data(), unix_path_.size());
  if (connect(redis, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    pairs_.push_back({.node = node, .redis = redis, .subscribes = false});
    return;
  }
  close(node);
  close(redis);
}

bool RedisRelay::PassOn(Pair& pair, bool node_spoke, bool redis_spoke) const {
  std::array<char, 64 * 1024> buffer;
  if (node_spoke) {
    const ssize_t size = recv(pair.node, buffer.data(), buffer.size(), 0);
    if (size <= 0) return false;
    const absl::string_view bytes(buffer.data(), static_cast<size_t>(size));
    pair.subscribes = pair.subscribes || absl::StrContains(bytes, "\r\nSUBSCRIBE\r\n");
    if (!Write(pair.redis, bytes)) return false;
  }
  if (redis_spoke) {
    const ssize_t size = recv(pair.redis, buffer.data(), buffer.size(), 0);
    if (size <= 0 || !Write(pair.node, absl::string_view(buffer.data(), static_cast<size_t>(size)))) return false;
  }
  return true;
}

}  // namespace actioncluster::fakes
