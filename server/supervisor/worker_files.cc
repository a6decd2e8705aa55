#include "server/supervisor/worker_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/supervisor/file_descriptor.h"

namespace actioncluster {
namespace {

constexpr size_t kBootDigits = 16;

absl::Status Failed(absl::string_view what, absl::string_view path) {
  return absl::InternalError(absl::StrCat(what, " ", path, ": ", std::strerror(errno)));
}

// The boot that the lock's file keeps. Whatever else is in there is taken for nothing: a half-written one is no boot.
std::string ReadBoot(int fd) {
  char text[kBootDigits + 1];
  if (pread(fd, text, sizeof text, 0) != static_cast<ssize_t>(kBootDigits)) return "";
  for (size_t i = 0; i < kBootDigits; ++i) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) return "";
  }
  return std::string(text, kBootDigits);
}

absl::Status WritePid(const std::string& path) {
  const std::string aside = absl::StrCat(path, ".new");
  const std::string pid = absl::StrCat(getpid(), "\n");
  const FileDescriptor file(open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file.is_open() || write(file.get(), pid.data(), pid.size()) != static_cast<ssize_t>(pid.size()) ||
      rename(aside.c_str(), path.c_str()) != 0) {
    return Failed("cannot write", path);
  }
  return absl::OkStatus();
}

// Only if it is ours: another process may have claimed the name since.
void RemovePid(const std::string& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char text[32] = {};
  pid_t pid;
  if (!file.is_open() || read(file.get(), text, sizeof text - 1) <= 0) return;
  if (absl::SimpleAtoi(text, &pid) && pid == getpid()) unlink(path.c_str());
}

absl::Status SendOutputTo(const std::string& path) {
  const FileDescriptor log(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!log.is_open()) return Failed("cannot write", path);
  std::fflush(stdout);
  if (dup2(log.get(), STDOUT_FILENO) < 0 || dup2(log.get(), STDERR_FILENO) < 0) return Failed("cannot write", path);
  return absl::OkStatus();
}

}  // namespace

struct WorkerFiles::Impl {
  std::string data_dir;
  FileDescriptor lock;
  std::string lock_path;
  std::string last_boot;
  std::string pid_path;  // Empty until there is a name.
};

WorkerFiles::WorkerFiles(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

absl::StatusOr<std::unique_ptr<WorkerFiles>> WorkerFiles::Open(const std::string& data_dir, int slot) {
  auto impl = std::make_unique<Impl>();
  impl->data_dir = data_dir;
  impl->lock_path = absl::StrCat(data_dir, "/worker-", slot, ".lock");
  impl->lock = FileDescriptor(open(impl->lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!impl->lock.is_open()) return Failed("cannot open", impl->lock_path);
  if (flock(impl->lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Failed("cannot lock", impl->lock_path);
    return absl::FailedPreconditionError(
        absl::StrCat(impl->lock_path, " is held: a former worker ", slot, " still runs"));
  }
  impl->last_boot = ReadBoot(impl->lock.get());
  return std::unique_ptr<WorkerFiles>(new WorkerFiles(std::move(impl)));
}

WorkerFiles::~WorkerFiles() {
  if (!impl_->pid_path.empty()) RemovePid(impl_->pid_path);
}

const std::string& WorkerFiles::last_boot() const { return impl_->last_boot; }

absl::Status WorkerFiles::Named(const std::string& node_id, const std::string& boot_id) {
  if (node_id.empty() || node_id.front() == '.' || node_id.find('/') != std::string::npos) {
    return absl::InvalidArgumentError("a node's name that is no file's name");
  }
  // First of all: the boot is in Redis already, and must be found dead if we die.
  if (ftruncate(impl_->lock.get(), 0) != 0 ||
      pwrite(impl_->lock.get(), boot_id.data(), boot_id.size(), 0) != static_cast<ssize_t>(boot_id.size())) {
    return Failed("cannot write", impl_->lock_path);
  }
  const std::string path = absl::StrCat(impl_->data_dir, "/", node_id);
  const std::string pid_path = absl::StrCat(path, ".pid");
  if (const absl::Status written = WritePid(pid_path); !written.ok()) return written;
  if (!impl_->pid_path.empty() && impl_->pid_path != pid_path) RemovePid(impl_->pid_path);
  impl_->pid_path = pid_path;
  return SendOutputTo(absl::StrCat(path, ".log"));
}

void WorkerFiles::Left() {
  // If it fails, the successor looks for a boot that is gone already: harmless.
  if (ftruncate(impl_->lock.get(), 0) != 0) return;
}

}  // namespace actioncluster
