#include "server/supervisor/control.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

namespace actioncluster {
namespace {

constexpr char kName[] = "actioncluster.control";
constexpr size_t kMaxLine = 256;
constexpr size_t kMaxAskers = 64;

// The path of a socket has 107 bytes at most; by the descriptor of its directory any path will do.
sockaddr_un AddressIn(const FileDescriptor& directory) {
  sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = {}};
  const std::string path = absl::StrCat("/proc/self/fd/", directory.get(), "/", kName);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::string OrDash(absl::string_view text) { return text.empty() ? "-" : std::string(text); }
std::string FromDash(absl::string_view text) { return text == "-" ? "" : std::string(text); }

absl::Status NobodyThere(const std::string& data_dir) {
  return absl::UnavailableError(absl::StrCat("no actioncluster runs on the data directory ", data_dir));
}

// Everything up to the end of the connection, or to the deadline.
absl::StatusOr<std::string> ReadAll(int fd, absl::Time deadline) {
  std::string text;
  while (true) {
    pollfd readable = {.fd = fd, .events = POLLIN, .revents = 0};
    const absl::Duration left = std::clamp(deadline - absl::Now(), absl::ZeroDuration(), absl::Minutes(1));
    const int ready = poll(&readable, 1, static_cast<int>(absl::ToInt64Milliseconds(left + absl::Microseconds(999))));
    if (ready == 0 && absl::Now() >= deadline) {
      return absl::DeadlineExceededError("it is not done in time, and goes on; see actioncluster status");
    }
    if (ready <= 0) continue;
    char buffer[4096];
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return text;  // A reset is an end, too: it was killed.
    text.append(buffer, static_cast<size_t>(got));
  }
}

}  // namespace

std::string SupervisorStatus::Format() const {
  std::string text =
      absl::StrCat("supervisor ", pid, " ", state, " ", workers, "\nredis ", redis_pid, " ", redis, "\n");
  for (const Worker& node : nodes) {
    absl::StrAppend(&text, "node ", node.slot, " ", node.pid, " ", node.state, " ", node.restarts, " ",
                    OrDash(node.name), " ", OrDash(node.addresses), "\n");
  }
  return text;
}

absl::StatusOr<SupervisorStatus> SupervisorStatus::Parse(absl::string_view text) {
  SupervisorStatus status;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 6));
    bool good = false;
    if (words[0] == "supervisor" && words.size() == 4) {
      status.state = words[2];
      good = absl::SimpleAtoi(words[1], &status.pid) && absl::SimpleAtoi(words[3], &status.workers);
    } else if (words[0] == "redis" && words.size() == 3) {
      status.redis = words[2];
      good = absl::SimpleAtoi(words[1], &status.redis_pid);
    } else if (words[0] == "node" && words.size() == 7) {
      Worker node;
      good = absl::SimpleAtoi(words[1], &node.slot) && absl::SimpleAtoi(words[2], &node.pid) &&
             absl::SimpleAtoi(words[4], &node.restarts);
      node.state = words[3];
      node.name = FromDash(words[5]);
      node.addresses = FromDash(words[6]);
      status.nodes.push_back(std::move(node));
    }
    if (!good) return absl::InternalError("the supervisor's answer is none: is it of another version?");
  }
  if (status.pid == 0) return absl::InternalError("the supervisor's answer is empty");
  return status;
}

ControlServer::ControlServer(FileDescriptor directory, FileDescriptor listener)
    : directory_(std::move(directory)), listener_(std::move(listener)) {}

ControlServer::~ControlServer() {
  if (directory_.is_open()) unlinkat(directory_.get(), kName, 0);
  for (Asker& asker : askers_) asker.fd.Release();
}

absl::StatusOr<ControlServer> ControlServer::Open(const std::string& data_dir) {
  const auto failed = [&] {
    return absl::InternalError(absl::StrCat("cannot listen on ", data_dir, "/", kName, ": ", std::strerror(errno)));
  };
  FileDescriptor directory(open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  FileDescriptor listener(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!directory.is_open() || !listener.is_open()) return failed();
  unlinkat(directory.get(), kName, 0);
  const sockaddr_un address = AddressIn(directory);
  // Nobody can connect before it listens, and then its mode is set.
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      fchmodat(directory.get(), kName, 0600, 0) != 0 || listen(listener.get(), 16) != 0) {
    return failed();
  }
  return ControlServer(std::move(directory), std::move(listener));
}

void ControlServer::Watch(std::vector<pollfd>* watched) const {
  // Who is one too many waits until another has gone.
  if (askers_.size() < kMaxAskers) watched->push_back({.fd = listener_.get(), .events = POLLIN, .revents = 0});
  for (const Asker& asker : askers_) watched->push_back({.fd = asker.fd.get(), .events = POLLIN, .revents = 0});
}

std::vector<ControlServer::Request> ControlServer::Take() {
  while (askers_.size() < kMaxAskers) {
    FileDescriptor fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd.is_open()) break;
    askers_.push_back({.id = ++last_id_, .fd = std::move(fd), .line = ""});
  }
  std::vector<Request> requests;
  std::erase_if(askers_, [&](Asker& asker) {
    char buffer[kMaxLine];
    const ssize_t got = recv(asker.fd.get(), buffer, sizeof buffer, 0);
    if (got < 0) return errno != EAGAIN && errno != EINTR;
    if (got == 0 || asker.asked) return true;  // It went away, or says more than it may.
    asker.line.append(buffer, static_cast<size_t>(got));
    const size_t end = asker.line.find('\n');
    if (end == std::string::npos) return asker.line.size() > kMaxLine;
    asker.asked = true;
    requests.push_back({.id = asker.id, .line = asker.line.substr(0, end)});
    return false;
  });
  return requests;
}

void ControlServer::Answer(int id, absl::string_view text) {
  std::erase_if(askers_, [&](const Asker& asker) {
    if (asker.id != id) return false;
    // A few kilobytes at most: they fit into the socket.
    send(asker.fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return true;
  });
}

absl::StatusOr<std::string> AskSupervisor(const std::string& data_dir, absl::string_view line, absl::Duration timeout,
                                          bool ended_is_ok) {
  const absl::Time deadline = absl::Now() + timeout;
  const FileDescriptor directory(open(data_dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const FileDescriptor fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!directory.is_open()) return NobodyThere(data_dir);
  const sockaddr_un address = AddressIn(directory);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EACCES) {
      return absl::PermissionDeniedError(absl::StrCat("the data directory ", data_dir, " is another user's"));
    }
    return NobodyThere(data_dir);
  }
  const std::string request = absl::StrCat(line, "\n");
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return NobodyThere(data_dir);
  }
  absl::StatusOr<std::string> answer = ReadAll(fd.get(), deadline);
  if (!answer.ok()) return answer;
  absl::string_view text = *answer;
  if (text.empty()) {
    if (ended_is_ok) return "";
    return absl::UnavailableError("the supervisor ended before it was done");
  }
  if (absl::ConsumePrefix(&text, "ok\n")) return std::string(text);
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits(' ', 1));
  int code;
  if (!absl::SimpleAtoi(parts.first, &code) || code <= 0 || code > 16) {
    return absl::InternalError("the supervisor's answer is none: is it of another version?");
  }
  return absl::Status(static_cast<absl::StatusCode>(code), absl::StripSuffix(parts.second, "\n"));
}

}  // namespace actioncluster
