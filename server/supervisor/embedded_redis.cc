#include "server/supervisor/embedded_redis.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/supervisor/process.h"

namespace actioncluster {
namespace {

constexpr size_t kMaxSocketPath = 100;  // The system's limit is 107, and Redis's own check a little less.
constexpr absl::string_view kPing = "PING\r\n";

// A path as a URL has it: whatever means something there is escaped.
std::string Escaped(absl::string_view path) {
  std::string escaped;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       absl::StrContains("/-._~", absl::string_view(&c, 1));
    if (plain) {
      escaped += c;
    } else {
      absl::StrAppend(&escaped, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return escaped;
}

}  // namespace

EmbeddedRedis::EmbeddedRedis(std::string data_dir, int lock_fd)
    : data_dir_(std::move(data_dir)), socket_path_(absl::StrCat(data_dir_, "/redis.sock")), lock_fd_(lock_fd) {}

absl::StatusOr<EmbeddedRedis> EmbeddedRedis::Create(const std::string& data_dir, int lock_fd) {
  EmbeddedRedis embedded(data_dir, lock_fd);
  if (embedded.socket_path_.size() > kMaxSocketPath) {
    return absl::InvalidArgumentError(
        absl::StrCat("the data directory's path is too long for the embedded Redis's socket: ", embedded.socket_path_,
                     " has ", embedded.socket_path_.size(), " bytes, and ", kMaxSocketPath, " are possible"));
  }
  return embedded;
}

std::string EmbeddedRedis::url() const { return absl::StrCat("unix://", Escaped(socket_path_)); }

std::string EmbeddedRedis::log_path() const { return absl::StrCat(data_dir_, "/redis.log"); }

absl::StatusOr<pid_t> EmbeddedRedis::Start() {
  probe_.Close();
  // We hold the lock, so what is there belongs to nobody.
  unlink(socket_path_.c_str());
  // What it says before it reads --logfile would otherwise go among our own lines.
  const FileDescriptor log(open(log_path().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!log.is_open()) {
    return absl::InternalError(absl::StrCat("cannot write ", log_path(), ": ", std::strerror(errno)));
  }
  ProcessSpec spec;
  spec.program = "redis-server";
  spec.args = {"redis-server", "--port",     "0",       "--unixsocket", socket_path_, "--unixsocketperm",
               "700",          "--dir",      data_dir_, "--appendonly", "yes",        "--appendfsync",
               "everysec",     "--save",     "",        "--daemonize",  "no",         "--logfile",
               log_path(),     "--loglevel", "notice"};
  // Nothing of ours may reach it: it would be no secret any more in its own crash reports.
  const char* const path = getenv("PATH");
  spec.environment = {absl::StrCat("PATH=", path == nullptr ? "/usr/bin:/bin" : path), "LC_ALL=C"};
  spec.inherited = {lock_fd_};
  spec.output = log.get();
  absl::StatusOr<pid_t> pid = Spawn(spec);
  if (absl::IsNotFound(pid.status())) {
    return absl::NotFoundError("redis-server is not installed: install it, or give --redis URL");
  }
  return pid;
}

EmbeddedRedis::Health EmbeddedRedis::Probe() {
  if (!probe_.is_open()) {
    FileDescriptor connection(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
    if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return Health::kSilent;
    if (send(connection.get(), kPing.data(), kPing.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(kPing.size())) {
      return Health::kSilent;
    }
    probe_ = std::move(connection);
  }
  char buffer[64];
  const ssize_t got = recv(probe_.get(), buffer, sizeof buffer, 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Health::kSilent;
  probe_.Close();
  if (got <= 0) return Health::kSilent;
  const absl::string_view answer(buffer, static_cast<size_t>(got));
  if (absl::StartsWith(answer, "+PONG")) return Health::kReady;
  return absl::StartsWith(answer, "-LOADING") ? Health::kLoading : Health::kSilent;
}

}  // namespace actioncluster
