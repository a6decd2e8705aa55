#include "server/supervisor/data_dir.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "server/config/settings.h"

namespace actioncluster {
namespace {

constexpr absl::Duration kRetryLock = absl::Milliseconds(50);

absl::Status Failed(absl::string_view what, absl::string_view path) {
  return absl::InternalError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

absl::Status Make(const std::string& path) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(parent, error);
  if (error) return absl::InternalError(absl::StrCat("cannot make ", parent.string(), ": ", error.message()));
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return Failed("cannot make the data directory", path);
  if (!std::filesystem::is_directory(path, error)) {
    return absl::InternalError(absl::StrCat("the data directory ", path, " is not a directory"));
  }
  return absl::OkStatus();
}

// The lock's file names the supervisor that took it last. If that is gone, what holds the lock is the redis-server that inherited it.
absl::Status HeldBy(const std::string& path, int lock_fd) {
  char text[32] = {};
  int pid = 0;
  if (pread(lock_fd, text, sizeof text - 1, 0) > 0 && absl::SimpleAtoi(text, &pid) && pid > 0) {
    if (kill(pid, 0) == 0 || errno == EPERM) {
      return absl::FailedPreconditionError(
          absl::StrCat("the data directory ", path, " is in use by another actioncluster, process ", pid));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("the data directory ", path, " is in use by a redis-server that process ", pid, " left behind"));
  }
  return absl::FailedPreconditionError(absl::StrCat("the data directory ", path, " is in use by another process"));
}

absl::Status WriteToken(const std::string& path) {
  std::array<unsigned char, 32> random;
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return absl::InternalError("the system gives no random bytes");
  }
  const std::string token = absl::StrCat(
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(random.data()), random.size())), "\n");
  // Written aside and renamed: a crash leaves the whole token or none. We hold the lock, so a leftover is nobody's.
  const std::string aside = absl::StrCat(path, ".new");
  unlink(aside.c_str());
  const FileDescriptor file(open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) return Failed("cannot make", aside);
  if (write(file.get(), token.data(), token.size()) != static_cast<ssize_t>(token.size()) || fsync(file.get()) != 0 ||
      rename(aside.c_str(), path.c_str()) != 0) {
    return Failed("cannot write", path);
  }
  return absl::OkStatus();
}

}  // namespace

DataDir::DataDir(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}

absl::StatusOr<DataDir> DataDir::Open(const std::string& path, absl::Duration patience) {
  if (const absl::Status made = Make(path); !made.ok()) return made;
  const std::string lock_path = absl::StrCat(path, "/actioncluster.lock");
  FileDescriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock.is_open()) return Failed("cannot open", lock_path);
  for (const absl::Time give_up = absl::Now() + patience; flock(lock.get(), LOCK_EX | LOCK_NB) != 0;) {
    if (errno != EWOULDBLOCK && errno != EINTR) return Failed("cannot lock", lock_path);
    if (absl::Now() >= give_up) return HeldBy(path, lock.get());
    absl::SleepFor(kRetryLock);
  }
  const std::string pid = absl::StrCat(getpid(), "\n");
  if (ftruncate(lock.get(), 0) != 0 ||
      pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return Failed("cannot write", lock_path);
  }
  return DataDir(path, std::move(lock));
}

absl::StatusOr<std::string> DataDir::ServerTokenFile() const {
  const std::string path = absl::StrCat(path_, "/server-token");
  std::error_code error;
  if (!std::filesystem::exists(path, error)) {
    if (const absl::Status written = WriteToken(path); !written.ok()) return written;
  }
  if (const auto token = ReadTokenFile(path); !token.ok()) return token.status();
  return path;
}

}  // namespace actioncluster
