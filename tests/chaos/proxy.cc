#include "tests/chaos/proxy.h"

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

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "glog/logging.h"

namespace actioncluster::chaos {
namespace {

constexpr size_t kMaxWaiting = 4 << 20;  // Past it the sender has to wait.
constexpr size_t kChunk = 64 << 10;

sockaddr_un Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  CHECK_LT(path.size(), sizeof(address.sun_path)) << path;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int Socket() {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  PCHECK(fd >= 0);
  return fd;
}

}  // namespace

Proxy::Proxy(const std::string& path, std::string target) : path_(path), target_(std::move(target)) {
  listener_ = Socket();
  const sockaddr_un address = Address(path_);
  PCHECK(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) << path_;
  PCHECK(listen(listener_, 64) == 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  PCHECK(wake_ >= 0);
  thread_ = std::thread([this] { Run(); });
}

Proxy::~Proxy() {
  stopping_ = true;
  Wake();
  thread_.join();
  for (Connection& connection : connections_) Close(connection);
  close(listener_);
  close(wake_);
}

std::string Proxy::url() const { return absl::StrCat("unix://", path_); }

void Proxy::SetMode(Mode mode) {
  mode_ = mode;
  Wake();
}

void Proxy::SetDelay(absl::Duration delay) {
  delay_us_ = absl::ToInt64Microseconds(delay);
  Wake();
}

void Proxy::Wake() {
  const uint64_t one = 1;
  PCHECK(write(wake_, &one, sizeof(one)) == sizeof(one));
}

void Proxy::Run() {
  while (!stopping_) {
    const Mode mode = mode_;
    const absl::Time now = absl::Now();
    if (mode != Mode::kSilent) {
      if (mode == Mode::kOpen) {
        for (Connection& connection : connections_) Pump(connection, now);
      }
      Accept();
    }
    connections_.remove_if([mode](Connection& connection) {
      if (mode != Mode::kCut && !connection.broken) return false;
      Close(connection);
      return true;
    });

    std::vector<pollfd> polled = {{.fd = wake_, .events = POLLIN, .revents = 0}};
    absl::Time next = absl::InfiniteFuture();
    if (mode != Mode::kSilent) polled.push_back({.fd = listener_, .events = POLLIN, .revents = 0});
    for (const Connection& connection : connections_) {
      if (mode == Mode::kSilent) break;
      for (const Way* way : {&connection.there, &connection.back}) {
        if (way->waiting < kMaxWaiting && !way->ended)
          polled.push_back({.fd = way->from, .events = POLLIN, .revents = 0});
        if (way->chunks.empty()) continue;
        if (way->chunks.front().due <= now)
          polled.push_back({.fd = way->to, .events = POLLOUT, .revents = 0});
        else
          next = std::min(next, way->chunks.front().due);
      }
    }
    const absl::Duration wait = next - absl::Now();
    const int limit = wait == absl::InfiniteDuration()
                          ? -1
                          : static_cast<int>(std::max<int64_t>(0, absl::ToInt64Milliseconds(wait) + 1));
    PCHECK(poll(polled.data(), polled.size(), limit) >= 0 || errno == EINTR);
    uint64_t count = 0;
    (void)!read(wake_, &count, sizeof(count));
  }
}

void Proxy::Accept() {
  while (true) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    const int server = Socket();
    const sockaddr_un address = Address(target_);
    Connection connection = {.there = {.from = client, .to = server}, .back = {.from = server, .to = client}};
    connection.broken = connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0;
    connections_.push_back(std::move(connection));
  }
}

void Proxy::Pump(Connection& connection, absl::Time now) const {
  for (Way* way : {&connection.there, &connection.back}) {
    Read(*way, connection, now);
    Write(*way, connection, now);
  }
}

void Proxy::Read(Way& way, Connection& connection, absl::Time now) const {
  std::array<char, kChunk> buffer;
  while (!way.ended && way.waiting < kMaxWaiting) {
    const ssize_t size = read(way.from, buffer.data(), buffer.size());
    if (size < 0) {
      connection.broken = connection.broken || errno != EAGAIN;
      return;
    }
    way.ended = size == 0;
    if (way.ended) return;
    way.chunks.push_back({.bytes = std::string(buffer.data(), static_cast<size_t>(size)),
                          .due = now + absl::Microseconds(delay_us_.load())});
    way.waiting += static_cast<size_t>(size);
  }
}

void Proxy::Write(Way& way, Connection& connection, absl::Time now) {
  while (!way.chunks.empty() && way.chunks.front().due <= now) {
    std::string& bytes = way.chunks.front().bytes;
    const ssize_t size = send(way.to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (size < 0) {
      connection.broken = connection.broken || errno != EAGAIN;
      return;
    }
    way.waiting -= static_cast<size_t>(size);
    bytes.erase(0, static_cast<size_t>(size));
    if (!bytes.empty()) return;
    way.chunks.pop_front();
  }
  // Redis and nodes close both halves at once.
  if (way.ended && way.chunks.empty()) connection.broken = true;
}

void Proxy::Close(Connection& connection) {
  close(connection.there.from);
  close(connection.there.to);
}

}  // namespace actioncluster::chaos
