#include "tests/fakes/redis_proxy.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"
#include "tests/fakes/redis_server.h"

namespace actioncluster::fakes {
namespace {

constexpr size_t kMaxWaiting = 4 << 20;  // Past it the sender has to wait.
constexpr size_t kChunk = 64 << 10;

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  CHECK_LT(path.size(), sizeof(address.sun_path)) << path;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int NewSocket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  PCHECK(fd >= 0);
  return fd;
}

}  // namespace

RedisProxy::RedisProxy(const std::string& redis, const std::string& path)
    : redis_(redis), path_(path.empty() ? absl::StrCat(redis, ".proxy") : path), listener_(NewSocket()) {
  const sockaddr_un address = AddressOf(path_);
  PCHECK(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) << path_;
  PCHECK(listen(listener_, 64) == 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  PCHECK(wake_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

RedisProxy::~RedisProxy() {
  stopping_ = true;
  Wake();
  thread_.join();
  for (Connection& connection : connections_) Close(connection);
  close(listener_);
  close(wake_);
  unlink(path_.c_str());
}

redis::Endpoint RedisProxy::endpoint() const {
  return {.unix_path = path_, .host = {}, .user = kNodesUser, .password = kNodesPassword};
}

std::string RedisProxy::url() const { return NodesUrl(path_); }

void RedisProxy::SetMode(Mode mode) {
  absl::MutexLock lock(&mutex_);
  mode_ = mode;
  const int number = ++modes_set_;
  Wake();
  const auto holds = [&] {
    mutex_.AssertReaderHeld();
    return modes_held_ >= number;
  };
  mutex_.Await(absl::Condition(&holds));
}

void RedisProxy::SetDelay(absl::Duration delay) {
  delay_us_ = absl::ToInt64Microseconds(delay);
  Wake();
}

void RedisProxy::LoseReplyTo(const std::string& needle) {
  absl::MutexLock lock(&mutex_);
  needle_ = needle;
}

void RedisProxy::Wake() {
  const uint64_t one = 1;
  PCHECK(write(wake_, &one, sizeof(one)) == sizeof(one));
}

bool RedisProxy::Passes(const Connection& connection, const Way& way, Mode mode) {
  if (mode == Mode::kSilent) return false;
  return mode != Mode::kDeaf || !connection.subscribes || &way != &connection.back;
}

void RedisProxy::Run() {
  while (!stopping_) {
    Mode mode;
    int number;
    {
      absl::MutexLock lock(&mutex_);
      mode = mode_;
      number = modes_set_;
    }
    if (mode != Mode::kSilent) Accept(mode);
    for (Connection& connection : connections_) {
      connection.broken = connection.broken || mode == Mode::kCut;
      if (!connection.broken) Pump(connection, mode, absl::Now());
    }
    connections_.remove_if([](Connection& connection) {
      if (connection.broken) Close(connection);
      return connection.broken;
    });
    {
      absl::MutexLock lock(&mutex_);
      modes_held_ = number;
    }
    Await(mode);
  }
}

// Until there is something to pass on.
void RedisProxy::Await(Mode mode) {
  std::vector<pollfd> polled = {{.fd = wake_, .events = POLLIN, .revents = 0}};
  if (mode != Mode::kSilent) polled.push_back({.fd = listener_, .events = POLLIN, .revents = 0});
  const absl::Time now = absl::Now();
  absl::Time next = absl::InfiniteFuture();
  for (const Connection& connection : connections_) {
    for (const Way* way : {&connection.there, &connection.back}) {
      if (!Passes(connection, *way, mode)) continue;
      if (way->waiting < kMaxWaiting && !way->ended) {
        polled.push_back({.fd = way->from, .events = POLLIN, .revents = 0});
      }
      if (way->chunks.empty()) continue;
      if (way->chunks.front().due <= now) {
        polled.push_back({.fd = way->to, .events = POLLOUT, .revents = 0});
      } else {
        next = std::min(next, way->chunks.front().due);
      }
    }
  }
  const int limit = next == absl::InfiniteFuture() ? -1 : static_cast<int>(absl::ToInt64Milliseconds(next - now) + 1);
  PCHECK(poll(polled.data(), polled.size(), limit) >= 0 || errno == EINTR);
  uint64_t count = 0;
  (void)!read(wake_, &count, sizeof(count));
}

void RedisProxy::Accept(Mode mode) {
  while (true) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    const int redis = NewSocket();
    const sockaddr_un address = AddressOf(redis_);
    Connection connection = {.there = {.from = client, .to = redis}, .back = {.from = redis, .to = client}};
    connection.broken =
        mode == Mode::kRefuse || connect(redis, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0;
    connections_.push_back(std::move(connection));
  }
}

void RedisProxy::Pump(Connection& connection, Mode mode, absl::Time now) {
  for (Way* way : {&connection.there, &connection.back}) {
    if (!Passes(connection, *way, mode)) continue;
    Read(*way, connection, now);
    Write(*way, connection, now);
  }
}

void RedisProxy::Read(Way& way, Connection& connection, absl::Time now) {
  std::array<char, kChunk> buffer;
  while (!way.ended && way.waiting < kMaxWaiting) {
    const ssize_t size = read(way.from, buffer.data(), buffer.size());
    if (size < 0) {
      connection.broken = connection.broken || errno != EAGAIN;
      return;
    }
    way.ended = size == 0;
    if (way.ended) return;
    const absl::string_view bytes(buffer.data(), static_cast<size_t>(size));
    way.chunks.push_back({.bytes = std::string(bytes), .due = now + absl::Microseconds(delay_us_.load())});
    way.waiting += bytes.size();
    if (&way == &connection.there) Look(connection, bytes);
  }
}

void RedisProxy::Look(Connection& connection, absl::string_view bytes) {
  connection.subscribes = connection.subscribes || absl::StrContains(bytes, "\r\nSUBSCRIBE\r\n");
  absl::MutexLock lock(&mutex_);
  if (needle_.empty() || !absl::StrContains(bytes, needle_)) return;
  needle_.clear();
  connection.loses = true;
  connection.there.ended = true;
  shutdown(connection.there.from, SHUT_RDWR);
}

void RedisProxy::Write(Way& way, Connection& connection, absl::Time now) {
  while (!way.chunks.empty() && way.chunks.front().due <= now) {
    std::string& bytes = way.chunks.front().bytes;
    const bool dropped = connection.loses && &way == &connection.back;
    const ssize_t size =
        dropped ? static_cast<ssize_t>(bytes.size()) : send(way.to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) {
      connection.broken = connection.broken || errno != EAGAIN;
      return;
    }
    way.waiting -= static_cast<size_t>(size);
    bytes.erase(0, static_cast<size_t>(size));
    if (!bytes.empty()) return;
    way.chunks.pop_front();
  }
  if (!way.ended || !way.chunks.empty()) return;
  if (connection.loses && &way == &connection.there) {
    // Redis reads what it was sent before it sees the end, and then hangs up too.
    shutdown(way.to, SHUT_WR);
  } else {
    // Redis and nodes close both halves at once.
    connection.broken = true;
  }
}

void RedisProxy::Close(Connection& connection) {
  close(connection.there.from);
  close(connection.there.to);
}

}  // namespace actioncluster::fakes
