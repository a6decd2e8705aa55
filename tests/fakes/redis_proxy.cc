#include "tests/fakes/redis_proxy.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"

namespace actioncluster::fakes {
namespace {

constexpr size_t kChunk = 64 << 10;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  CHECK_LT(path.size(), sizeof(address.sun_path));
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int NewSocket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_GE(fd, 0);
  return fd;
}

bool SendAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

void Close(int fd) {
  if (fd >= 0) close(fd);
}

}  // namespace

RedisProxy::RedisProxy(const std::string& upstream)
    : upstream_(upstream), path_(absl::StrCat(upstream, ".proxy")), listening_(NewSocket()) {
  const sockaddr_un address = AddressOf(path_);
  CHECK_EQ(bind(listening_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  CHECK_EQ(listen(listening_, 16), 0);
  CHECK_EQ(pipe(wake_), 0);
  thread_ = std::thread([this] { Run(); });
}

RedisProxy::~RedisProxy() {
  close(wake_[1]);
  thread_.join();
  close(wake_[0]);
  close(listening_);
  unlink(path_.c_str());
  for (const Pair& pair : pairs_) {
    Close(pair.client);
    Close(pair.upstream);
  }
}

redis::Endpoint RedisProxy::endpoint() const { return {.unix_path = path_, .host = {}, .user = {}, .password = {}}; }

void RedisProxy::LoseReplyTo(const std::string& needle) {
  absl::MutexLock lock(&mutex_);
  needle_ = needle;
}

void RedisProxy::Run() {
  while (true) {
    std::vector<pollfd> watched = {{.fd = wake_[0], .events = POLLIN, .revents = 0},
                                   {.fd = listening_, .events = POLLIN, .revents = 0}};
    for (const Pair& pair : pairs_) {
      watched.push_back({.fd = pair.client, .events = POLLIN, .revents = 0});
      watched.push_back({.fd = pair.upstream, .events = POLLIN, .revents = 0});
    }
    CHECK_GT(poll(watched.data(), watched.size(), -1), 0);
    if (watched[0].revents != 0) return;
    size_t next = 2;
    for (auto pair = pairs_.begin(); pair != pairs_.end(); next += 2) {
      const bool stands =
          (watched[next].revents == 0 || FromClient(*pair)) && (watched[next + 1].revents == 0 || FromUpstream(*pair));
      if (!stands) {
        Close(pair->client);
        Close(pair->upstream);
      }
      pair = stands ? std::next(pair) : pairs_.erase(pair);
    }
    if (watched[1].revents != 0) Accept();
  }
}

void RedisProxy::Accept() {
  const int client = accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const sockaddr_un address = AddressOf(upstream_);
  const int upstream = NewSocket();
  if (refuse_ || connect(upstream, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(client);
    close(upstream);
    return;
  }
  pairs_.push_back({.client = client, .upstream = upstream});
}

bool RedisProxy::FromClient(Pair& pair) {
  char bytes[kChunk];
  const ssize_t size = recv(pair.client, bytes, sizeof(bytes), 0);
  if (size <= 0) return false;
  const absl::string_view sent(bytes, static_cast<size_t>(size));
  if (!SendAll(pair.upstream, sent)) return false;
  absl::MutexLock lock(&mutex_);
  if (needle_.empty() || !absl::StrContains(sent, needle_)) return true;
  needle_.clear();
  close(std::exchange(pair.client, -1));
  // Redis reads what it was sent before it sees the end, and then hangs up too.
  shutdown(pair.upstream, SHUT_WR);
  return true;
}

bool RedisProxy::FromUpstream(const Pair& pair) {
  char bytes[kChunk];
  const ssize_t size = recv(pair.upstream, bytes, sizeof(bytes), 0);
  if (size <= 0) return false;
  return pair.client < 0 || SendAll(pair.client, absl::string_view(bytes, static_cast<size_t>(size)));
}

}  // namespace actioncluster::fakes
